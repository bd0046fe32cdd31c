"""One request to an application in this process, without a server."""

from __future__ import annotations

import asyncio
import json

from app.api.application import Application
from app.service import Service
from app.settings import Settings
from tests.app.backends import ToyBackend

BODY = json.dumps({"inputs": "a good film"}).encode()


def ask(
    method="POST",
    path="/classify",
    backend=None,
    body=BODY,
    headers=(),
    draining=False,
    settings=(),
    tracing=None,
    **scope,
):
    """Return the status, the headers and the body of one request to an application whose model is loaded."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    async def play():
        service = Service(Settings(**dict(settings)), backend or ToyBackend())
        await service.start()
        service.draining = draining
        request = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": list(headers)}
        try:
            await Application(service, tracing=tracing)(
                {**request, "scheme": "http", "server": ("test", 80), **scope}, receive, send
            )
        finally:
            await service.stop()

    try:
        asyncio.run(play())
    except ZeroDivisionError as error:
        sent.append(error)
    start, *rest = sent
    content = b"".join(message["body"] for message in rest if isinstance(message, dict))
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, content, rest
