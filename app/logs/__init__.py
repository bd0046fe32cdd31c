"""Structured logs on standard error: one JSON object a line, or colored lines for a person.

Texts, bodies and headers are never logged, so neither inputs nor keys can leak. Nothing waits for a line to be
written, and a flood of the same line is counted, not written.
"""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import structlog

from app.command_line.terminal import is_watched
from app.logs.escaping import escape_unprintable, forget_messages
from app.logs.levels import ROOT, log_levels
from app.logs.limit import ACCESS_LOGGER, LineLimit
from app.logs.writer import LogWriter
from app.settings import Settings

LAST_LINES_S = 1.0  # for the lines that are still queued when the process ends

line_limit = LineLimit(lambda event, kind, lines: log_left_out(event, kind, lines))
writers: list[LogWriter] = []  # that of this process, once logs are configured


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
    renderers: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer()]
    if is_console(settings):
        renderers = [escape_unprintable, structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            line_limit.of_event,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    writer = LogWriter(sys.stderr, line_limit, log_dropped)
    writer.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, stamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    writer.addFilter(line_limit.of_record)
    writer.addFilter(forget_messages)
    close_logs()
    writers.append(writer)
    root = logging.getLogger()
    root.handlers = [writer]
    access = "info" if settings.access_log else "warning"
    log_levels.start({ROOT: settings.log_level, ACCESS_LOGGER: access, **settings.log_levels})
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True  # requests are counted in /metrics, failures logged here


def is_console(settings: Settings) -> bool:
    """Whether lines are for a person."""
    return settings.log_format == "console" or (settings.log_format == "auto" and is_watched())


def count_dropped_lines(count: Callable[[float], None]) -> None:
    """Have `count` called with the number of lines that are dropped, those of before included."""
    for writer in writers:
        writer.count_dropped(count)


def close_logs() -> None:
    """Write what is queued, for at most `LAST_LINES_S`, and end."""
    while writers:
        writers.pop().end(LAST_LINES_S)


atexit.register(close_logs)


def log_left_out(event: str, kind: str, lines: int) -> None:
    structlog.get_logger(__name__).warning("lines_left_out", of=event, kind=kind, lines=lines)


def log_dropped(lines: int) -> None:
    structlog.get_logger(__name__).warning("log_lines_dropped", lines=lines)


def stamp(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Give a record of another library the time at which it was made, not that at which it is written."""
    event["timestamp"] = datetime.fromtimestamp(event["_record"].created, UTC).isoformat().replace("+00:00", "Z")
    return event


def name_process(process: str, _: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["process"] = process
    return event
