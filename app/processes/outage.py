"""When the loss of the engines turns liveness red: not while the supervisor replaces them, but once that has failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

HEAL_S = 30.0  # the least time in which an engine is replaced, on a machine that is busy


class EngineState(Protocol):
    """What is asked of an `EngineClient`."""

    @property
    def is_connected(self) -> bool: ...

    @property
    def has_loaded(self) -> bool: ...

    @property
    def problem(self) -> str | None: ...


class Outage:
    """For how long no engine could answer.

    An engine that loads is progress: the clock stands still meanwhile, because a load may take minutes. Only one that
    has loaded ends the outage, so that engines that die while they load add up to one.
    """

    def __init__(self, stall_timeout_s: float) -> None:
        self._limit_s = max(stall_timeout_s, HEAL_S)
        self._lasted_s = 0.0

    def pass_time(self, engines: Sequence[EngineState], elapsed_s: float) -> None:
        well = [engine for engine in engines if engine.is_connected and engine.problem is None]
        if any(engine.has_loaded for engine in well):
            self._lasted_s = 0.0
        elif not well:
            self._lasted_s += elapsed_s

    def problem(self, engines: Sequence[EngineState]) -> str | None:
        """Return in a word why no engine answers, once the time to replace one is over."""
        if self._lasted_s <= self._limit_s:
            return None
        problems = [engine.problem for engine in engines if engine.is_connected and engine.problem]
        return problems[0] if problems else "engine lost"
