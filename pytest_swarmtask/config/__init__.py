"""The configuration: `workflow.yaml`, its environments, and what the environment's variables add."""
