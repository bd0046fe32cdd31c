"""A request that an engine has not answered yet, as the worker that sent it sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import ServeError
from app.processes.messages import LOGITS, Outputs, split_outputs
from app.window import Floats


class UnansweredError(Exception):
    """The engine was lost, or frozen, while it had the request. Another may be asked: inference changes nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine answered; see `app.serving.model.Finished`."""

    outputs: Sequence[Floats]
    queue_s: float
    forward_s: float
    ended: float = 0.0


@dataclass(slots=True)
class Pending:
    """A request that an engine has not answered yet, and what has arrived of outputs in several frames."""

    answered: asyncio.Future[Reply]
    model: str
    deadline: float
    outputs: Outputs | None = None
    data: bytearray | None = None
    is_resuming: bool = False  # it is answered, and its caller goes on in this or the next turn of the event loop

    def fail(self, error: ServeError | UnansweredError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)

    def take(self, outputs: Outputs, data: bytes | bytearray) -> bool:
        """Resolve with the outputs, if `data` is all of them."""
        if len(data) < sum(rows * width for rows, width in outputs.shapes) * LOGITS.itemsize:
            return False
        if not self.answered.done():
            arrays = split_outputs(outputs.shapes, data)
            self.answered.set_result(Reply(arrays, outputs.queue_s, outputs.forward_s, outputs.ended))
        return True
