"""`swarmtask init`: look at a project, and write the files that it needs."""
