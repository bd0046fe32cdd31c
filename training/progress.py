"""What a person sees of a command that takes minutes: each phase while it runs, and how long it took."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
REDRAW_S = 0.1
TICKS, PLAIN_TICKS = ("✓", "✗"), ("+", "x")  # of a phase that is over, and of one that failed
WIDTH = 11  # columns of a phase's name
ERASE_REST = "\x1b[K"  # erases the rest of the line, on which a bar may stand


class Phases:
    """The phases of a command: `with phases("verify"): ...`.

    On a terminal a phase has a row with a spinner and the time so far, which ends as `✓ verify     3.2 s`; elsewhere
    it logs `verify took 3.2 s` at its end. A phase that raises says that it failed. Bars of tqdm may be drawn and lines
    be logged meanwhile. Phases may be nested, and run in several threads at once.
    """

    def __init__(self, stream: TextIO | None = None, *, is_shown: bool = True) -> None:
        """`stream`: where phases are shown if it is a terminal; standard error by default.

        `is_shown`: False where another process shows the same phases.
        """
        self.stream, self.is_shown = stream, is_shown
        self.seconds: dict[str, float] = {}  # by phase; those of one name add up
        self.lock = threading.Lock()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            with self._line(name):
                yield
        finally:
            with self.lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def _line(self, name: str) -> AbstractContextManager[None]:
        stream = self.stream or sys.stderr
        if not self.is_shown:
            return nullcontext()
        return on_terminal(name, stream) if stream.isatty() else in_log(name)


def can_show(signs: Sequence[str], stream: TextIO) -> bool:
    """Whether a stream's encoding has the signs."""
    try:
        "".join(signs).encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def in_log(name: str) -> Iterator[None]:
    """Log one line when the phase is over."""
    started = time.perf_counter()
    try:
        yield
    except BaseException:
        log.error("%s failed after %.1f s", name, time.perf_counter() - started)
        raise
    log.info("%s took %.1f s", name, time.perf_counter() - started)


@contextmanager
def on_terminal(name: str, stream: TextIO) -> Iterator[None]:
    """Keep the last line of the terminal up to date, and leave one above it when the phase is over.

    The line is a bar of tqdm, so that other bars have lines of their own below it and log lines appear above it.
    """
    done, failed = TICKS if can_show(TICKS, stream) else PLAIN_TICKS
    started, over = time.perf_counter(), threading.Event()
    line = tqdm(bar_format="{desc}", file=stream, leave=False, dynamic_ncols=True)

    def text(before: str) -> str:
        return f"{before}{time.perf_counter() - started:.1f} s{ERASE_REST}"

    def spin() -> None:
        for sign in itertools.cycle(SPINNER):
            line.set_description_str(text(f"{sign} {name:{WIDTH}}"))
            if over.wait(REDRAW_S):
                return

    spinner = threading.Thread(target=spin, name=f"spinner of {name}", daemon=True)
    how = f"{failed} {name:{WIDTH}}failed after "
    try:
        with logging_redirect_tqdm():
            spinner.start()
            yield
        how = f"{done} {name:{WIDTH}}"
    finally:
        over.set()
        spinner.join()
        line.close()
        tqdm.write(text(f"\r{how}"), file=stream)  # \r: a bar that ended may have left the cursor anywhere
