"""The history: a SQLite database made from the journal, and the questions asked of it."""
