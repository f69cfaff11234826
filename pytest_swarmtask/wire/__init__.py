"""What goes over the network: formats and signatures, for sender and receiver."""
