"""What a person sees: a line that is renewed on a terminal, a line now and then in a log."""

import fcntl
import io
import os
import pty
import struct
import sys
import termios

import pytest

from app.bulk.errors import BulkError
from app.bulk.progress import Progress, cleared
from app.command_line.look import DONE, LEFT, PLAIN, columns_of, duration
from tests.support.terminal import screen_of


class Terminal(io.StringIO):
    plain = False

    def isatty(self):
        return True

    @property
    def encoding(self):
        return "ascii" if self.plain else "utf-8"


@pytest.fixture(autouse=True)
def columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def progress_of(stream, rows=0, **more):
    """Return a progress that takes a chunk of 100 rows every second, and a function that plays so many of them."""
    now = [0.0]
    progress = Progress(stream, rows, clock=lambda: now[0], **more)

    def play(seconds, of=100):
        for second in range(1, seconds + 1):
            now[0] += 1
            progress.add(100, bad=second == 3, share=None if of is None else (rows / 100 + second) / of)

    return progress, play


def test_a_log_has_a_line_every_ten_seconds():
    stream = io.StringIO()
    progress, play = progress_of(stream)
    play(25)
    assert stream.getvalue().splitlines() == [
        "1,000 rows, 10%, 100 rows/s, 2 min left, 1 with an error",
        "2,000 rows, 20%, 100 rows/s, 1 min left, 1 with an error",
    ]
    progress.end("done")
    assert stream.getvalue().endswith("done; 100 rows/s\n")


def test_a_terminal_has_one_line_with_a_bar_that_is_renewed():
    stream = Terminal()
    progress, play = progress_of(stream)
    play(50)
    assert screen_of(stream.getvalue()) == [
        "⠋ predict    50.0 s ━━━━━━━━━━━━━━ 5,000 rows, 50%, 100 rows/s, 50 s left, 1 w…"
    ]
    assert f"{DONE}━━━━━━━{LEFT}━━━━━━━{PLAIN}" in stream.getvalue()
    progress.end("done")
    assert screen_of(stream.getvalue()) == ["✓ predict    50.0 s done; 100 rows/s", ""]


def test_a_terminal_where_the_end_is_not_known_has_no_bar_and_one_of_few_characters_has_plain_signs():
    stream = Terminal()
    stream.plain = True
    progress, play = progress_of(stream)
    play(1, of=None)
    assert screen_of(stream.getvalue()) == ["- predict     1.0 s 100 rows, 100 rows/s"]
    progress.clear()
    assert screen_of(stream.getvalue()) == [""]


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("columns", [2, 12, 30, 36, 37, 60])
def test_a_line_is_no_longer_than_a_narrow_terminal_is_wide(columns, is_plain, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    stream.plain = is_plain
    _, play = progress_of(stream)
    play(50)
    (line,) = screen_of(stream.getvalue())
    assert len(line) < columns
    assert line.isascii() or not is_plain


def test_the_width_is_that_of_the_stream_where_standard_output_is_a_file(monkeypatch):
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", 0), os.fdopen(slave, "w") as stream:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        assert columns_of(stream) == 50
    assert columns_of(io.StringIO()) == 80


def test_nothing_is_renewed_among_rows_that_are_written_to_the_same_terminal():
    stream = Terminal()
    progress, play = progress_of(stream, is_among_rows=True)
    play(50)
    assert stream.getvalue() == ""
    progress.end("done")
    assert screen_of(stream.getvalue()) == ["✓ predict    50.0 s done; 100 rows/s", ""]


def test_an_error_is_not_said_behind_the_line():
    stream = Terminal()
    progress, play = progress_of(stream)

    def fail():
        with cleared(progress):
            play(1)
            raise BulkError("an input changed")

    with pytest.raises(BulkError):
        fail()
    assert screen_of(stream.getvalue()) == [""]


def test_rows_of_an_earlier_command_count_and_not_for_the_rate():
    stream = io.StringIO()
    progress, play = progress_of(stream, rows=5000)
    play(10)
    assert stream.getvalue().startswith("6,000 rows, 60%, 100 rows/s, ")
    progress.end("done")
    assert stream.getvalue().endswith("done; 100 rows/s\n")


def test_where_the_end_is_not_known_nothing_is_said_of_it():
    stream = io.StringIO()
    _, play = progress_of(stream)
    play(10, of=None)
    assert stream.getvalue() == "1,000 rows, 100 rows/s, 1 with an error\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 0 min"), (9000, "2 h 30 min")]
)
def test_seconds_in_words(seconds, words):
    assert duration(seconds) == words
