"""Runs in the watched process: makes events, journals them, and starts the relay that delivers them."""
