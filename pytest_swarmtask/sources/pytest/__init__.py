"""pytest as a source of events."""
