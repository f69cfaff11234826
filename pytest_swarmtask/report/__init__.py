"""What people and other tools read: built from the journal, in a process of its own."""
