"""`swarmtask mcp`: answers questions of coding agents over the Model Context Protocol. Needs the extra `mcp`."""
