"""Structured logs on standard error: one JSON object a line, or colored lines for a person.

Texts, bodies and headers are never logged, so neither inputs nor keys can leak.
"""

from __future__ import annotations

import logging
import sys
from functools import partial

import structlog

from app.settings import Settings


def configure_logs(settings: Settings, process: str | None = None) -> None:
    """Send structlog and the standard library's loggers (uvicorn's too) through one renderer.

    `process` is the name of this process where there are several; every line then has it as a field.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if process is not None:
        shared.append(partial(name_process, process))
    console = settings.log_format == "console"
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers, root.level = [handler], level
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.error").addFilter(drop_exception_message)
    logging.getLogger("uvicorn.access").disabled = True  # requests are counted in /metrics, failures logged here


def name_process(process: str, _: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["process"] = process
    return event


def drop_exception_message(record: logging.LogRecord) -> bool:
    """Keep only the type of an exception that uvicorn logs: its message may quote the input.

    The stack of a defect is logged by `app.api.errors.internal_error`.
    """
    if record.exc_info and (kind := record.exc_info[0]):
        record.msg, record.exc_info = f"{record.msg.strip()}: {kind.__name__}", None
    return True
