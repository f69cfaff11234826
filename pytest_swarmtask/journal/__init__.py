"""The journal: the files that the watched process and the relay share."""
