"""Finding and hiding secrets before anything is written."""
