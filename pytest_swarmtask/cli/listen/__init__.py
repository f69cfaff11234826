"""`swarmtask listen`: a local receiver that verifies webhooks and prints them."""
