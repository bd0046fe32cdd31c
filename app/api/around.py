"""What stands around an application where the settings ask for it: trusted proxies, and pages of other origins."""

from __future__ import annotations

import re
from typing import Any, cast

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.settings import Settings

PREFIX = re.compile(rb"(?:/[\w.~-]+)+/?", re.ASCII)
HOST = re.compile(rb"[\w.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?", re.ASCII)
FORWARDED_HOST = "roberta.forwarded_host"  # in a scope: the name by which the client knows the service
PREFLIGHT_S = 600  # that a browser remembers what it may send

ASKED = (
    *("Authorization", "Content-Encoding", "Content-Type", "X-Priority", "X-Request-Id", "X-Request-Timeout-Ms"),
    *("Traceparent", "Tracestate"),
)
ANSWERED = ("Retry-After", "Server-Timing", "Traceresponse", "X-Model", "X-Request-Id")


def with_surroundings(app: Any, settings: Settings) -> Any:
    """Return an application that heeds `cors_origins` and `forwarded_allow_ips`; itself where there are none."""
    if settings.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=ASKED,
            expose_headers=ANSWERED,
            max_age=PREFLIGHT_S,
        )
    if settings.forwarded_allow_ips:
        app = Forwarded(app, settings.forwarded_allow_ips)
    return app


class Forwarded:
    """Believes what trusted proxies say of the client's URL: its scheme, host and the prefix of its path.

    uvicorn's own middleware decides who is trusted, and reads the scheme and the client's address.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        self._believing = ProxyHeadersMiddleware(cast(Any, Believing(app)), trusted)
        self._app, self._trusted = app, self._believing.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        is_trusted = scope["type"] == "http" and (client[0] if client else None) in self._trusted
        await (self._believing if is_trusted else self._app)(cast(Any, scope), cast(Any, receive), cast(Any, send))


class Believing:
    """Reads `X-Forwarded-Host` and `X-Forwarded-Prefix`; of several the last, which the nearest proxy has set."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        prefix = last_of(headers.get(b"x-forwarded-prefix", b""))
        host = last_of(headers.get(b"x-forwarded-host", b""))
        if PREFIX.fullmatch(prefix):
            scope["root_path"] = prefix.decode().rstrip("/")
        if HOST.fullmatch(host):
            scope[FORWARDED_HOST] = host.decode()
        await self._app(scope, receive, send)


def last_of(values: bytes) -> bytes:
    return values.rpartition(b",")[2].strip()
