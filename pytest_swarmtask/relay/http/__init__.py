"""One HTTP request: address checks, TLS, the connection, what an answer means."""
