"""What a model knows of its lane before a request is tokenized, and after its windows have run.

In an overload, most requests are refused. One that is like another that was refused a moment ago is refused before its
text is tokenized. And an answer takes time from the end of its last batch until it can be sent: that much earlier,
windows must have run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from app.errors import DeadlineUnmeetableError, QueueFullError

MOMENT_S, MOMENT_SHARE = 0.05, 0.03  # how long a refusal is remembered: so long, or this share of the time it allowed
MOST_REMEMBERED = 8
OVERLOAD_S = 1.0  # how long after a refusal requests are tokenized one after the other
LIKE = 0.5  # a request of this share of the tokens, or of more, is like the one that was refused
MORE_TIME = 1.05  # so is one that has this much of its time, or less
LEARNING = 0.02  # weight of the newest request in the mean number of tokens per character
MOST_MARGIN = 0.5  # of the time that a request allows
RISING = 0.1  # weight of a longer time in the margin
FORGET_S = 10.0  # in which shorter times replace most of the margin, however many they are


class Asked(NamedTuple):
    """What a request asks for: about so many tokens, by a deadline in seconds of the clock."""

    tokens: float
    deadline: float
    priority: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was refused, and the error that it got."""

    asked: Asked
    at: float
    allowed_s: float
    error: QueueFullError | DeadlineUnmeetableError

    def is_fresh(self, now: float) -> bool:
        return now - self.at <= min(MOMENT_S, MOMENT_SHARE * self.allowed_s)

    def covers(self, asked: Asked, now: float) -> bool:
        """Whether a request that asks for this would be refused as well."""
        is_hurried = isinstance(self.error, QueueFullError) or asked.deadline - now <= MORE_TIME * self.allowed_s
        return is_hurried and asked.priority <= self.asked.priority and asked.tokens >= LIKE * self.asked.tokens


class Refusals:
    """The requests that were refused a moment ago.

    When there is room again after a refusal, it is for few of those that ask. While one of them is tokenized, requests
    like it are refused as well: otherwise all would be tokenized, and nearly all of them for nothing.
    """

    def __init__(self) -> None:
        self._refusals: list[Refusal] = []  # the newest first
        self._last: Refusal | None = None
        self._in_preparation: list[Asked] = []

    @contextmanager
    def preparing(self, asked: Asked) -> Iterator[None]:
        """Keep in mind that a request is being tokenized."""
        self._in_preparation.append(asked)
        try:
            yield
        finally:
            self._in_preparation.remove(asked)

    def note(self, asked: Asked, now: float, error: QueueFullError | DeadlineUnmeetableError) -> None:
        # A copy: the error itself refers to its traceback, and that to the request.
        refusal = Refusal(asked, now, asked.deadline - now, type(error)(error.message, error.retry_after_s))
        self._refusals = [refusal, *(other for other in self._refusals if other.is_fresh(now))][:MOST_REMEMBERED]
        self._last = refusal

    def forget(self) -> None:
        """Take note that there is room again: something was answered."""
        self._refusals.clear()

    def is_overloaded(self, now: float) -> bool:
        """Whether a request was refused lately."""
        return self._last is not None and now - self._last.at <= OVERLOAD_S

    def check(self, asked: Asked, now: float) -> None:
        """Raise the error of a refusal that is fresh, or would be, and covers what is asked for."""
        if self._last is None:
            return
        for refusal in self._known(self._last, now):
            if refusal.covers(asked, now):
                error = refusal.error
                raise type(error)(error.message, error.retry_after_s)

    def _known(self, last: Refusal, now: float) -> Iterator[Refusal]:
        """Yield the refusals that are fresh, and in an overload those that would follow of what is in preparation."""
        yield from (refusal for refusal in self._refusals if refusal.is_fresh(now))
        if self.is_overloaded(now):
            for asked in self._in_preparation:
                if last.covers(asked, now):
                    yield Refusal(asked, now, asked.deadline - now, last.error)


@dataclass(slots=True)
class Density:
    """The mean number of tokens per character of a model's requests."""

    tokens_per_character: float = 0.3

    def learn(self, characters: int, tokens: int) -> None:
        self.tokens_per_character += LEARNING * (tokens / max(1, characters) - self.tokens_per_character)


@dataclass(slots=True)
class Margin:
    """How long nearly every answer takes at most, from the end of its last batch until it can be sent."""

    seconds: float = 0.0
    learned_at: float = 0.0

    def learn(self, seconds: float, now: float) -> None:
        weight = RISING if seconds > self.seconds else min(1.0, (now - self.learned_at) / FORGET_S)
        self.seconds += weight * (seconds - self.seconds)
        self.learned_at = now

    def before(self, deadline: float, now: float) -> float:
        """Return by when the windows of a request with this deadline must have run."""
        return deadline - min(self.seconds, MOST_MARGIN * max(0.0, deadline - now))


@dataclass(slots=True)
class Room:
    """What a model has learned of its own requests."""

    refusals: Refusals = field(default_factory=Refusals)
    density: Density = field(default_factory=Density)
    margin: Margin = field(default_factory=Margin)
