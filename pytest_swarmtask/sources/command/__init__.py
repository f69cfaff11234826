"""A command under `swarmtask run` as a source of events."""
