"""Facts about a run: CI service, git checkout, process."""
