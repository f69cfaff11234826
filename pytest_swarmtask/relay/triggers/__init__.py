"""Triggers: rules of `workflow.yaml` that act on events."""
