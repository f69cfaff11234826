"""`workflow.yaml`: its model, how it is loaded, checked and shown."""
