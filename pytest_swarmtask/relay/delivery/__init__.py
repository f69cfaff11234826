"""Delivery: from the journal to a sink, with cursors, retries and dead letters."""
