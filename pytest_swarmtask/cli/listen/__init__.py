"""`swarmtask listen`: receive events on this machine, verify and print them."""
