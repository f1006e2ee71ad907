"""An ASGI application that reads a request and gives an answer written beforehand: what uvicorn costs alone.

``/NAME`` is answered with the file ``NAME.answer`` of the working folder.
"""

from pathlib import Path

ANSWERS = {f"/{path.stem}": path.read_bytes() for path in Path().glob("*.answer")}


async def app(scope, receive, send):
    """Read the whole body, look at none of it."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    while (await receive()).get("more_body"):
        pass
    answer = ANSWERS.get(scope["path"])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer or b"")).encode())]
    await send({"type": "http.response.start", "status": 404 if answer is None else 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer or b""})
