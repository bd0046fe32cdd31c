"""What a request asks of the queue, and the place there that it gets."""

from __future__ import annotations

from typing import NamedTuple

from app.engine.queue import QueuedRequest
from app.engine.work import Lane


class Ask(NamedTuple):
    """What a new request asks for: `cost_s` seconds of a runner, `longest_s` of them in one window."""

    lane: Lane
    now: float
    deadline: float
    priority: int
    tokens: int
    cost_s: float
    longest_s: float
    windows: int


class Place(NamedTuple):
    """When a request is due, and what of lower priority gives way to it: by ending, or by being due at its deadline."""

    due: float
    ending: list[QueuedRequest]
    postponed: list[QueuedRequest]
