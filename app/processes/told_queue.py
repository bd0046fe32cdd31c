"""What waits in an engine. Its workers are told, and each refuses what no longer fits beside the others' requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from app.engine.backlog import Backlog, Price
from app.engine.work import Lane
from app.processes.messages import QueueState
from app.window import Window

TELL_EVERY_S = 0.02  # at most


class QueueTeller:
    """The engine's side. `lanes` are those that workers may ask for, by the key of their model."""

    def __init__(
        self,
        backlog: Callable[[], Backlog | None],
        lanes: Mapping[str, Lane],
        tell: Callable[[QueueState], None],
    ) -> None:
        self._backlog, self._lanes, self._tell = backlog, lanes, tell
        self._told_at = 0.0
        self._is_told = False  # whether the workers believe that something waits

    def tell(self) -> None:
        """Tell what waits, and once that nothing does any more; to be called with every reply."""
        now = time.monotonic()
        if now - self._told_at < TELL_EVERY_S:
            return
        self._told_at, backlog = now, self._backlog()
        if backlog is not None or self._is_told:
            self._is_told = backlog is not None
            prices = {key: Price.of(lane.cost, lane.max_batch_tokens) for key, lane in self._lanes.items()}
            self._tell(QueueState(backlog, prices))


class ToldQueue:
    """A worker's side: what an engine has told last."""

    def __init__(self) -> None:
        self.state = QueueState(None, {})

    def forget(self) -> None:
        self.state = QueueState(None, {})

    def check(self, model: str, windows: Sequence[Window], *, deadline: float, priority: int) -> None:
        """Raise what the engine would, as far as it is certain; `model` is a key."""
        backlog, price = self.state.backlog, self.state.prices.get(model)
        if backlog is not None and price is not None:
            backlog.check(time.monotonic(), deadline, priority, sum(map(len, windows)), price.seconds(windows))

    def check_tokens(self, model: str, tokens: int, *, deadline: float, priority: int) -> None:
        """Do what `check` does, for windows with so many tokens or more."""
        backlog, price = self.state.backlog, self.state.prices.get(model)
        if backlog is not None and price is not None:
            backlog.check(time.monotonic(), deadline, priority, tokens, price.per_token * tokens)
