"""`swarmtask watch`: runs while they are going on."""
