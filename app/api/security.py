"""API keys. An Authorization header is compared and forgotten: it never reaches a log."""

from __future__ import annotations

import hmac

from app.api.request import Headers
from app.errors import UnauthorizedError
from app.settings import Settings


def check_key(headers: Headers, settings: Settings) -> None:
    """Raise `UnauthorizedError` unless the request carries a configured key, or none is configured.

    Hugging Face clients send a saved Hub token to any server: without configured keys it is ignored.
    """
    if not settings.api_keys:
        return
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    allowed = [hmac.compare_digest(given.strip(), key.get_secret_value().encode()) for key in settings.api_keys]
    if scheme.lower() != b"bearer" or not any(allowed):
        raise UnauthorizedError("a valid API key is needed: send `Authorization: Bearer <key>`")
