"""How far a phase is: whatever takes steps counts them, and the phase that runs meanwhile shows them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeVar

T = TypeVar("T")
State = Literal["waiting", "running", "done", "failed", "skipped"]


@dataclass
class Steps:
    """`what` is counted, such as "batches". `done` of `total` are over, `first` of which before it began to count.

    `note`: what else is to be said, such as a loss.
    """

    total: int
    what: str
    done: int = 0
    note: str = ""
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.first = self.done

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def rate(self, now: float) -> float | None:
        """Return steps a second; None while there are none."""
        taken = self.done - self.first
        return taken / (now - self.began) if taken and now > self.began else None


@dataclass
class Row:
    """A phase. `seconds`: what those of its name took that are over. `steps`: the innermost last."""

    name: str
    state: State = "waiting"
    seconds: float = 0.0
    began: float = 0.0
    steps: list[Steps] = field(default_factory=list)

    def elapsed(self, now: float) -> float:
        return self.seconds + (now - self.began if self.state == "running" else 0.0)


RUNNING: ContextVar[Row | None] = ContextVar("the row of the phase that runs in this thread", default=None)


class Counted:
    """Steps that a phase shows from `with` on until its end."""

    def __init__(self, steps: Steps) -> None:
        self.steps, self._row = steps, RUNNING.get()

    def __enter__(self) -> Steps:
        if self._row is not None:
            self._row.steps.append(self.steps)
        return self.steps

    def __exit__(self, *_: object) -> None:
        if self._row is not None:
            self._row.steps.remove(self.steps)


def count(total: int, what: str, done: int = 0) -> Counted:
    """Return a context in which steps are counted: `with count(8, "windows") as steps: steps.advance()`."""
    return Counted(Steps(total, what, done))


def track(items: Sequence[T] | Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, a step each; `total` is how many there are where they have no length."""
    with count(len(items) if total is None else total, what) as steps:  # type: ignore[arg-type]
        for item in items:
            yield item
            steps.advance()
