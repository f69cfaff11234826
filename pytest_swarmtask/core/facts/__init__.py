"""Facts of the run: CI service, git checkout, process."""
