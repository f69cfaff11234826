"""Who makes events: pytest, commands, Python code."""
