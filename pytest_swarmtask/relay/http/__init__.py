"""One HTTP request: address checks, TLS, the connection, and the meaning of answers."""
