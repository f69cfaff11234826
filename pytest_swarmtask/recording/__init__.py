"""What runs inside the watched process: from a fact to a line in the journal."""
