"""What acts on a terminal is escaped in lines for a person; what a library logs of an exception is its type."""

import asyncio
import json
import logging
import subprocess
import sys

import pytest

from app.logs.escaping import escape, escape_unprintable, forget_messages
from tests.support.server import REPOSITORY

LOGGING = """
import logging, structlog
from app.logs import configure_logs
from app.settings import Settings

configure_logs(Settings(log_format={form!r}))
given = "a\\x1b[31mred\\r\\n{{}}\\u202eb\\ud800\\x00é 你"
structlog.get_logger("x").info("event", model=given, names=[given], stack="one\\ntwo")
logging.getLogger("uvicorn.error").warning(given)
"""


@pytest.mark.parametrize(
    ("given", "escaped"),
    [
        ("naïve 你好 film", "naïve 你好 film"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x1b[31m\x00\x7f\x9b", "\\x1b[31m\\x00\\x7f\\x9b"),
        ("\u202e\u2066\u200b\u2028", "\\u202e\\u2066\\u200b\\u2028"),
        ("\ud800", "\\ud800"),
    ],
    ids=ascii,
)
def test_what_is_not_printable_is_escaped(given, escaped):
    assert escape(given) == escaped


def test_a_stack_keeps_its_lines():
    event = escape_unprintable(None, "", {"event": "a\nb", "stack": "a\nb", "count": 1})
    assert event == {"event": "a\\nb", "stack": "a\nb", "count": 1}


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_value_makes_a_line_or_acts_on_the_terminal(form):
    done = subprocess.run(
        [sys.executable, "-c", LOGGING.format(form=form)], cwd=REPOSITORY, capture_output=True, check=True
    )
    lines = done.stderr.decode().splitlines()
    assert len(lines) == (2 if form == "json" else 4), lines  # and those of the stack
    if form == "json":
        assert all("\x1b" not in line and line.isascii() and json.loads(line) for line in lines)
    assert "\x1b[31m" not in done.stderr.decode()
    assert not set("\r\u202e\x00") & set(done.stderr.decode())


def test_an_exception_that_a_library_logs_is_known_by_its_type():
    try:
        raise RuntimeError("a secret")
    except RuntimeError:
        record = logging.makeLogRecord({"name": "uvicorn.error", "msg": "Exception\n", "exc_info": sys.exc_info()})
    assert forget_messages(record)
    assert (record.getMessage(), record.exc_info) == ("Exception: RuntimeError", None)


def test_a_task_that_fails_unseen_says_nothing_of_its_exception(caplog):
    async def fail():
        raise RuntimeError("a secret")

    async def play():
        task = asyncio.create_task(fail())
        await asyncio.wait([task])

    asyncio.run(play())
    (record,) = caplog.records
    assert "a secret" in record.getMessage()
    forget_messages(record)
    assert record.getMessage() == "Task exception was never retrieved: RuntimeError"
    assert record.exc_info is None
