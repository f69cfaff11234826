"""`swarmtask run`: a command as a source of events."""
