"""What a person sees: a line that is renewed on a terminal, a line now and then in a log."""

import io

import pytest

from app.bulk.progress import Progress
from app.command_line.look import DONE, LEFT, PLAIN, duration
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


def progress_of(stream, rows=0):
    """Return a progress that takes a chunk of 100 rows every second, and a function that plays so many of them."""
    now = [0.0]
    progress = Progress(stream, rows, clock=lambda: now[0])

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
