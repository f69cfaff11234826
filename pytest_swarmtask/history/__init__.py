"""The history: a SQLite database made from the journal, and questions to it."""
