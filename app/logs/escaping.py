"""What a line may not carry: characters that act on a terminal; messages of exceptions, which may quote an input."""

from __future__ import annotations

import logging

import structlog

STACK = "stack"  # source lines of the service, a line each; nothing of a request


def escape_unprintable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape what moves the cursor, colors, reverses or ends a line. JSON escapes it by itself."""
    return {key: escape(value) if key != STACK and isinstance(value, str) else value for key, value in event.items()}


def escape(text: str) -> str:
    """Return `text` with everything that is not printable as `\\n`, `\\x1b` or `\\u202e`, lone surrogates included."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def forget_messages(record: logging.LogRecord) -> bool:
    """Keep only the type of an exception that a library logs.

    asyncio shows the failed task from its second line on, with the exception's message. The stack of a defect is
    logged by `app.api.errors.internal_error`.
    """
    if isinstance(record.msg, str):
        if record.name == "asyncio":
            record.msg, record.args = record.getMessage().partition("\n")[0], ()
        if record.exc_info and (kind := record.exc_info[0]):
            record.msg, record.exc_info = f"{record.msg.strip()}: {kind.__name__}", None
    return True
