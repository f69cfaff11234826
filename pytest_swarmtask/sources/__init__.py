"""The sources of events, one folder each: pytest, commands under `swarmtask run`, Python code."""
