"""What a client is told, by Ray's proxy, where no replica has answered: as the service says it itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.types import Message, Scope, Send

from app.api.openai_form import error_of, is_openai
from app.errors import DeadlineExceededError, EngineLostError, QueueFullError, ServeError

ANSWERED_BY = (b"x-answered-by", b"roberta-serve")  # of every answer of a replica, its errors included
CHANGES_SOMETHING = "/admin/"  # paths of an operator's orders
LOST = "no replica answered, the request was sent {tries} times; send it again, inference changes nothing"
LOST_ONCE = "no replica answered; send the request again, inference changes nothing"
ORDER_LOST = (
    "no replica answered, and it is not known whether the order was done; look at GET /models before you repeat it"
)
FULL = "as many requests wait at the proxy as max_queued_requests allows"


def refusal_of(head: Message) -> ServeError | None:
    """Return what Ray's proxy refuses by the head of its own answer; None where it says that there is no answer."""
    headers: Mapping[bytes, bytes] = {name.lower(): value for name, value in head.get("headers", ())}
    match head["status"]:
        case 408:  # `request_timeout_s` of Ray's http_options
            return DeadlineExceededError()
        case 429:  # where `max_queued_requests` is set
            after = headers.get(b"retry-after", b"")
            return QueueFullError(FULL, float(after) if after.isdigit() else 1.0)
    return None


def lost(path: str, tries: int) -> EngineLostError:
    """Return the error of a request that was sent so many times, and answered by nobody."""
    if path.startswith(CHANGES_SOMETHING):
        return EngineLostError(ORDER_LOST)
    return EngineLostError(LOST.format(tries=tries) if tries > 1 else LOST_ONCE)


async def send_error(scope: Scope, send: Send, error: ServeError) -> None:
    """Answer as the service does."""
    request_id = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    told: Any = error_of(error) if is_openai(scope["path"]) else error.message
    content = json.dumps({"error": told, "error_type": error.code, "request_id": request_id}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
