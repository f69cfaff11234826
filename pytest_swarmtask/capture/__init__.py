"""What is observed: the pytest session and its tests, and the facts of a run."""
