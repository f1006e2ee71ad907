"""HTTP/1.1: whole requests in and whole answers out, by our own protocol or by uvicorn."""
