"""What became of the requests of a scenario: right, refused clearly, lost, wrong, or ended by the scenario itself."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from app import errors
from tests.chaos.client import Exchange, Reply

STATUS_OF = {kind.code: kind.status for _, kind in inspect.getmembers(errors, inspect.isclass) if "code" in vars(kind)}
DEFECTS = ("internal_error",)  # a refusal with one of these is a defect of the service
TOLERANCE = 1e-6  # of a number of an answer, against the same request alone
LATE_S = 0.05  # after its deadline an answer is late; the client's own delay is within this
MOST_NOTES = 5


class Truth:
    """What each request gives alone, by its path and body."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, bytes], bytes] = {}

    def knows(self, path: str, body: bytes) -> bool:
        return (path, body) in self._answers

    def learn(self, path: str, body: bytes, answer: bytes) -> None:
        self._answers[path, body] = answer

    def agrees(self, path: str, body: bytes, answer: bytes) -> bool:
        """Whether an answer is what the request gives alone, to `TOLERANCE`."""
        expected = self._answers.get((path, body))
        return expected is not None and (answer == expected or are_alike(json.loads(answer), json.loads(expected)))


def are_alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= TOLERANCE
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_alike, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(are_alike(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


def flaw_of_refusal(reply: Reply) -> str | None:
    """Return what is wrong with an error's form; None when it is as docs/reference.md says."""
    try:
        body = reply.json()
    except ValueError:
        return f"{reply.status} without JSON: {reply.body[:60]!r}"
    if not isinstance(body, dict) or body.keys() != {"error", "error_type", "request_id"}:
        return f"{reply.status} with the fields {sorted(body)[:5]}"
    code = body["error_type"]
    if STATUS_OF.get(code) != reply.status:
        return f"{reply.status} with the code {code}"
    if code in DEFECTS:
        return f"a defect: {code}"
    if body["request_id"] != reply.header("x-request-id"):
        return f"{code} with another request id than its header"
    if reply.status in (429, 503) and not (reply.header("retry-after") or "").isdigit():
        return f"{code} without Retry-After"
    return None


@dataclass
class Tally:
    """The counts of one scenario in one shape; see the columns of `tests.chaos.table`.

    `cut`: the scenario itself ended them, by leaving or by killing the process that had their connection.
    """

    truth: Truth
    sent: int = 0
    right: int = 0
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    cut: int = 0
    late: int = 0
    delay_ms: float | None = None
    growth_mb: float | None = None
    measured: str = ""  # what the table adds to the name of the fault
    codes: dict[str, int] = field(default_factory=dict)
    answer_s: list[float] = field(default_factory=list)  # of answers that were right
    refusal_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    excused: tuple[str, ...] = ()

    def count(self, exchange: Exchange) -> None:
        """Judge what became of a request."""
        self.sent += 1
        reply, question = exchange.reply, exchange.question
        if reply is None:
            self._count_lost(exchange)
        elif reply.status == 200:
            if not self.truth.agrees(question.path, question.body, reply.body):
                self.wrong += 1
                self.note(f"wrong answer from {question.path}: {reply.body[:80]!r}")
                return
            self.right += 1
            self.answer_s.append(exchange.seconds)
            self.late += question.deadline_s is not None and exchange.seconds > question.deadline_s + LATE_S
        elif (flaw := flaw_of_refusal(reply)) is not None:
            self.wrong += 1
            self.note(flaw)
        else:
            self.refused += 1
            self.refusal_s.append(exchange.seconds)
            code = reply.json()["error_type"]
            self.codes[code] = self.codes.get(code, 0) + 1

    def _count_lost(self, exchange: Exchange) -> None:
        if exchange.cause in self.excused:
            self.cut += 1
        else:
            self.lost += 1
            self.note(f"{exchange.question.path}: {exchange.cause} after {exchange.seconds:.1f} s")

    @contextmanager
    def excusing(self, *causes: str) -> Iterator[None]:
        """Count requests without an answer as cut for these causes: the scenario kills the process that has them."""
        self.excused = causes
        try:
            yield
        finally:
            self.excused = ()

    def leave(self, requests: int) -> None:
        """Count requests whose answers the scenario does not wait for."""
        self.sent += requests
        self.cut += requests

    def note(self, sentence: str) -> None:
        if len(self.notes) < MOST_NOTES and sentence not in self.notes:
            self.notes.append(sentence)

    def claim(self, holds: bool, sentence: str) -> None:
        """Note a stated bound that does not hold."""
        if not holds:
            self.broken.append(sentence)

    def claim_none_refused(self) -> None:
        self.claim(not self.refused, f"{self.refused} requests were refused")

    def see_delay(self, milliseconds: float) -> None:
        self.delay_ms = max(self.delay_ms or 0.0, milliseconds)

    def see_growth(self, megabytes: float) -> None:
        self.growth_mb = max(self.growth_mb or 0.0, megabytes)

    @property
    def is_sound(self) -> bool:
        return not (self.lost or self.wrong or self.broken)
