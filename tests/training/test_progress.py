"""Phases of a command: a row each on a terminal and a line each in a log, whatever is drawn or logged meanwhile."""

from __future__ import annotations

import io
import logging
import re
import sys
import termios
import threading

import pytest
from tqdm import tqdm

from app.command_line.look import duration
from tests.support.server import until
from tests.support.terminal import on_terminal, screen_of
from training.progress import Phases, count, track
from training.progress.board import details
from training.progress.steps import Steps

log = logging.getLogger(__name__)

CTRL_C = b"\x03"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
COMMAND = """
import logging, pathlib, sys, time
from app.command_line.command import Verb
from training.__main__ import main
from training.progress import Phases, track

def run(_):
    with Phases(("read", "train", "verify")) as phases:
        with phases("read"):
            logging.getLogger("x").info("300 rows")
            print("on standard output")
        with phases("train"):
            for step in track(range(3), "steps"):
                if step == 2:
                    while not pathlib.Path(sys.argv[1]).exists():
                        time.sleep(0.01)
        with phases("verify"):
            pass
    return "the end"

Verb.run = lambda self, arguments: run(None)
main(["finetune"])
"""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True

    def lines(self):
        """Return what stands on the screen, with N for figures of time."""
        return [without_times(line) for line in screen_of(self.getvalue())]


class Plain(Terminal):
    encoding = "ascii"


def without_times(line):
    return re.sub(r" +\d+\.\d s", " N s", line.rstrip())


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
    with Phases(("verify", "score"), io.StringIO()) as phases, caplog.at_level(logging.INFO), phases("verify"):
        assert caplog.messages == []
    assert [re.sub(r"\d+\.\d", "N", message) for message in caplog.messages] == ["verify took N s"]


@pytest.mark.parametrize("stream_of", [io.StringIO, Terminal])
def test_a_phase_that_raises_says_so_and_lets_the_error_pass(stream_of, caplog):
    stream = stream_of()
    phases = Phases(stream=stream)
    with caplog.at_level(logging.INFO), pytest.raises(ZeroDivisionError), phases("score"):
        raise ZeroDivisionError
    said = stream.lines()[0] if stream.isatty() else re.sub(r"\d+\.\d", "N", caplog.messages[-1])
    assert said in ("✗ score N s  failed", "score failed after N s")
    assert list(phases.seconds) == ["score"]


def test_each_phase_that_is_to_come_has_a_row_from_the_start(terminal):
    with Phases(("read", "train", "verify", "score"), terminal) as phases:
        with phases("read"):
            pass
        with phases("verify"):  # train was done before
            for _ in track(range(3), "batches"):
                phases._board.live.refresh()
            shown = terminal.lines()
            assert shown[:2] == ["✓ read N s", "- train                        skipped"] or shown[0] == "✓ read N s"
            assert shown[1].split() == ["-", "train", "skipped"]
            assert "━" in shown[2]
            assert "3/3 batches" in shown[2] or "2/3 batches" in shown[2]
            assert shown[3].split() == ["·", "score"]
    assert [line.split()[:2] for line in terminal.lines() if line] == [
        ["✓", "read"],
        ["-", "train"],
        ["✓", "verify"],
        ["-", "score"],
    ]


def test_a_terminal_without_the_signs_has_plain_ones():
    stream = Plain()
    with Phases(stream=stream)("read"):
        pass
    assert stream.lines()[0] == "+ read N s"


def test_a_narrow_terminal_without_the_signs_has_none_where_a_row_is_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Plain()
    with Phases(("a phase of a very long name",), stream) as phases, phases("tokenize"):
        for _ in track(range(3), "batches of what is tokenized"):
            phases._board.live.refresh()
    assert stream.getvalue().isascii()


def test_bars_of_others_and_log_lines_do_not_garble_the_rows(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal)
    with Phases() as phases:
        with phases("train"):
            for step in tqdm(range(3), desc="steps", leave=False, file=sys.stderr):
                if step == 1:
                    log.info("epoch 1: loss 0.3 [bold]")
        with phases("verify"):
            for _ in tqdm(range(3), desc="batches", leave=True, file=sys.stderr):
                pass
            log.info("off by 1e-7")
    log.info("done")
    lines = [line for line in terminal.lines() if line]
    assert lines.pop(1).startswith("batches: 100%")
    assert lines == ["epoch 1: loss 0.3 [bold]", "off by 1e-7", "✓ train N s", "✓ verify N s", "done"]


def test_streams_and_handlers_of_the_log_are_as_before_when_a_phase_is_over(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal)
    streams = [getattr(handler, "stream", None) for handler in logging.getLogger().handlers]
    with pytest.raises(KeyError), Phases()("read"):
        raise KeyError
    assert [getattr(handler, "stream", None) for handler in logging.getLogger().handlers] == streams
    assert sys.stderr is terminal


def test_seconds_of_one_name_add_up_and_phases_may_nest(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("training.progress.phases.time.perf_counter", lambda: float(next(clock)))
    phases = Phases(stream=io.StringIO())
    with phases("verify"):
        pass
    once = phases.seconds["verify"]
    with phases("publish"), phases("verify"):
        pass
    assert phases.seconds["verify"] == 2 * once
    assert phases.seconds["publish"] > once


def test_a_process_that_only_helps_shows_nothing_and_measures_all_the_same(terminal, caplog):
    phases = Phases(("train",), terminal, is_shown=False)
    with caplog.at_level(logging.INFO), phases("train"):
        pass
    assert terminal.lines() == [""]
    assert caplog.messages == []
    assert list(phases.seconds) == ["train"]


def test_phases_may_run_in_several_threads(terminal):
    phases, together = Phases(stream=terminal), threading.Barrier(4, timeout=10)

    def run(name):
        with phases(name):
            together.wait()

    threads = [threading.Thread(target=run, args=[name]) for name in ("a", "b", "a", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(phases.seconds) == {"a", "b", "c"}
    assert sorted(line for line in terminal.lines() if line) == [f"✓ {name} N s" for name in "aabc"]


def test_what_is_counted_outside_of_a_phase_is_counted_by_nobody():
    assert list(track(range(3), "steps")) == [0, 1, 2]
    with count(3, "steps") as steps:
        steps.advance(2)
    assert steps.done == 2


def test_steps_are_said_with_their_rate_and_what_is_left():
    steps = Steps(120, "steps", done=20, note="loss 0.3", began=10.0)
    assert details(steps, 12.0) == "20/120 steps, loss 0.3"
    steps.advance(50)
    assert details(steps, 12.0) == "70/120 steps, 25/s, 2 s left, loss 0.3"
    assert [duration(each) for each in (59, 60, 3599, 7260)] == ["59 s", "1 min", "1 h 0 min", "2 h 1 min"]


@pytest.mark.parametrize("code", [0, 130], ids=["to its end", "ctrl-c"])
def test_on_a_real_terminal_rows_end_as_they_are_and_ctrl_c_leaves_it_sane(code, tmp_path):
    with on_terminal("-c", COMMAND, str(tmp_path / "go on")) as (process, screen):
        before = termios.tcgetattr(screen.master)
        until(lambda: "2/3 steps" in screen.text())
        waiting = [line.split()[:2] for line in screen.lines() if "verify" in line]
        if code:
            screen.press(CTRL_C)
        else:
            (tmp_path / "go on").touch()
        assert process.wait(30) == code
        until(lambda: "the end" in screen.text() or "stopped" in screen.text())
        assert termios.tcgetattr(screen.master) == before
    lines = [without_times(line) for line in screen.lines()]
    assert waiting == [["·", "verify"]]
    assert lines[:2] == ["300 rows", "on standard output"]
    assert "✓ read N s" in lines
    shown = screen.shown.decode()
    assert shown.rfind(SHOW_CURSOR) > shown.rfind(HIDE_CURSOR) >= 0
    if code:
        assert any(re.fullmatch(r"✗ train N s +failed", line) for line in lines)
        assert "roberta-train: stopped; the same command goes on from the last checkpoint" in lines
    else:
        assert lines[2:] == ["✓ read N s", "✓ train N s", "✓ verify N s", "the end", ""]
