"""An ASGI application that reads a request and returns a fixed response: the cost of uvicorn alone.

The response to ``/NAME`` is the file ``NAME.response`` of the working folder.
"""

from pathlib import Path

RESPONSES = {f"/{path.stem}": path.read_bytes() for path in Path().glob("*.response")}


async def app(scope, receive, send):
    """Read the whole body, look at none of it."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    while (await receive()).get("more_body"):
        pass
    response = RESPONSES.get(scope["path"])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(response or b"")).encode())]
    await send({"type": "http.response.start", "status": 404 if response is None else 200, "headers": headers})
    await send({"type": "http.response.body", "body": response or b""})
