"""Phases of a command: a line each on a terminal and in a log, whatever is drawn or logged meanwhile."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading

import pytest
from tqdm import tqdm

from training.progress import Phases

log = logging.getLogger(__name__)


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def lines(self):
        """Return what stands on the screen.

        A carriage return goes to the start of the line, `ESC [ A` a line up; `ESC [ K` erases the rest of the line.
        """
        screen, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|.", self.getvalue(), re.DOTALL):
            if part == "\r":
                column = 0
            elif part == "\n":
                row, column = row + 1, 0
                screen += [""] * (row == len(screen))
            elif part == "\x1b[A":
                row -= 1
            elif part == "\x1b[K":
                screen[row] = screen[row][:column]
            elif part != "\x1b[0m":
                line = screen[row].ljust(column)
                screen[row], column = line[:column] + part + line[column + 1 :], column + 1
        return [re.sub(r"\d+\.\d s", "N s", line.rstrip()) for line in screen]


@pytest.fixture
def terminal():
    """Return a terminal to which the log is written."""
    stream = Terminal()
    root = logging.getLogger()
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


def test_without_a_terminal_a_phase_logs_one_line_at_its_end(caplog):
    phases = Phases(io.StringIO())
    with caplog.at_level(logging.INFO), phases("verify"):
        assert caplog.messages == []
    assert [re.sub(r"\d+\.\d", "N", message) for message in caplog.messages] == ["verify took N s"]


@pytest.mark.parametrize("stream_of", [io.StringIO, Terminal])
def test_a_phase_that_raises_says_so_and_lets_the_error_pass(stream_of, caplog):
    stream = stream_of()
    phases = Phases(stream)
    with caplog.at_level(logging.INFO), pytest.raises(ZeroDivisionError), phases("score"):
        raise ZeroDivisionError
    said = stream.lines()[0] if stream.isatty() else re.sub(r"\d+\.\d", "N", caplog.messages[-1])
    assert re.fullmatch(r"(✗ )?score +failed after N s", said)
    assert list(phases.seconds) == ["score"]


def test_on_a_terminal_each_phase_leaves_one_line(terminal):
    phases = Phases(terminal)
    for name in ("read", "tokenize"):
        with phases(name):
            pass
    assert terminal.lines() == ["✓ read       N s", "✓ tokenize   N s", ""]


def test_bars_and_log_lines_within_a_phase_do_not_garble_it(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal)
    phases = Phases()
    with phases("train"):
        for step in tqdm(range(3), desc="a long description of the steps", leave=True, file=terminal):
            if step == 1:
                log.info("epoch 1: loss 0.3")
    with phases("verify"):
        for _ in tqdm(range(3), desc="batches", leave=False, file=terminal):
            pass
        log.info("off by 1e-7")
    log.info("done")
    lines = [line for line in terminal.lines() if not line.startswith("a long description of the steps: 100%")]
    assert lines == ["epoch 1: loss 0.3", "✓ train      N s", "off by 1e-7", "✓ verify     N s", "done", ""]


def test_handlers_of_the_log_are_as_before_when_a_phase_is_over(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal)
    before = list(logging.getLogger().handlers)
    with pytest.raises(KeyError), Phases()("read"):
        raise KeyError
    assert logging.getLogger().handlers == before
    assert not [thread for thread in threading.enumerate() if thread.name == "spinner of read"]


def test_seconds_of_one_name_add_up_and_phases_may_nest(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("training.progress.time.perf_counter", lambda: float(next(clock)))
    phases = Phases(io.StringIO())
    with phases("verify"):
        pass
    once = phases.seconds["verify"]
    with phases("publish"), phases("verify"):
        pass
    assert phases.seconds["verify"] == 2 * once
    assert phases.seconds["publish"] > once


def test_a_process_that_only_helps_shows_nothing_and_measures_all_the_same(terminal, caplog):
    phases = Phases(terminal, is_shown=False)
    with caplog.at_level(logging.INFO), phases("train"):
        pass
    assert terminal.lines() == [""]
    assert caplog.messages == []
    assert list(phases.seconds) == ["train"]


def test_phases_may_run_in_several_threads(terminal):
    phases, together = Phases(terminal), threading.Barrier(4, timeout=10)

    def run(name):
        with phases(name):
            together.wait()

    threads = [threading.Thread(target=run, args=[name]) for name in ("a", "b", "a", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(phases.seconds) == {"a", "b", "c"}
    assert sorted(line for line in terminal.lines() if line) == [f"✓ {name}          N s" for name in "aabc"]
