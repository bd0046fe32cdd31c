"""The line of an answered request, for those who ask for one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

from app.logs.limit import ACCESS_LOGGER
from app.serving.pipeline import Answer

if TYPE_CHECKING:
    from app.api.call import Call

asked = logging.getLogger(ACCESS_LOGGER)
access_log = structlog.get_logger(ACCESS_LOGGER)


def is_asked() -> bool:
    """Whether somebody wants these lines now; an order may change it while the service runs."""
    return asked.isEnabledFor(logging.INFO)


def log_answered(call: Call, model: str, answer: Answer, total_s: float) -> None:
    """Write the line of an answered request: nothing of what it asked or was answered."""
    access_log.info(
        "request_answered",
        request_id=call.request_id,
        route=call.task,
        model=model,
        key=call.key.name,
        windows=answer.windows,
        tokens=answer.tokens,
        bytes=len(answer.content),
        total_ms=round(total_s * 1000, 2),
        tokenize_ms=round(answer.tokenize_s * 1000, 2),
        queue_ms=round(answer.queue_s * 1000, 2),
        forward_ms=round(answer.forward_s * 1000, 2),
    )
