"""The history: what the journal told, as tables that answer questions quickly. Filled by readers and by the relay."""
