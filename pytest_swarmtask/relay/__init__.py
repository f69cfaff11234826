"""The relay: the process of its own that carries the journal to the sinks."""
