"""The form of events on the network, shared by sender and receiver: formats of the body, and signatures."""
