"""How the processes are as a whole: the supervisor knows, and tells those who answer for the health of the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial

from app.processes.process_slot import ProcessSlot


class PoolState(StrEnum):
    """Each is an order to a process, a line; see `app.processes.child`."""

    HELD = "pool held"
    NO_WORKER = "pool without workers"  # at the moment: they are being started
    WORKER_LOOP = "pool of workers in a loop"
    ENGINE_LOOP = "pool of engines in a loop"


PROBLEMS = {
    PoolState.WORKER_LOOP: "workers end again and again",
    PoolState.ENGINE_LOOP: "engines end again and again",
}
NO_WORKER = "no process that takes requests is there; one is being started, try again in a moment"


def state_of(engines: Sequence[ProcessSlot], workers: Sequence[ProcessSlot], now: float) -> PoolState:
    """Return the state of the pool. One engine, or one worker, that does not end again and again is enough."""
    for slots, loop in ((engines, PoolState.ENGINE_LOOP), (workers, PoolState.WORKER_LOOP)):
        if all(slot.restarts.is_loop(now) for slot in slots):
            return loop
    return PoolState.HELD if any(slot.is_at_work for slot in workers) else PoolState.NO_WORKER


class ToldState:
    """What the supervisor has told this process last."""

    def __init__(self) -> None:
        self._state = PoolState.HELD

    def tell(self, state: PoolState) -> None:
        self._state = state

    def orders(self) -> Mapping[str, Callable[[], None]]:
        """Return what follows each order."""
        return {str(state): partial(self.tell, state) for state in PoolState}

    def problem(self) -> str | None:
        """Return in a few words what only a start of everything anew may mend."""
        return PROBLEMS.get(self._state)

    def why_not_ready(self) -> str | None:
        return NO_WORKER if self._state == PoolState.NO_WORKER else None
