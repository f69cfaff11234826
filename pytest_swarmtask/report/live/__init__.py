"""`swarmtask watch`: runs while they are running."""
