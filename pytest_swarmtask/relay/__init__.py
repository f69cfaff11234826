"""The relay: the process that delivers the journal."""
