"""A WSGI application that reads a request and sends a response prepared beforehand: what its server costs alone.

The response to ``/NAME`` is the file ``NAME.response`` of the working folder.
"""

from pathlib import Path

RESPONSES = {f"/{path.stem}": path.read_bytes() for path in Path().glob("*.response")}


def app(environ, start_response):
    """Read the whole body, look at none of it."""
    while environ["wsgi.input"].read(1 << 16):
        pass
    response = RESPONSES.get(environ["PATH_INFO"])
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(response or b"")))]
    start_response("404 Not Found" if response is None else "200 OK", headers)
    return [response or b""]
