"""Python code as a source of events."""
