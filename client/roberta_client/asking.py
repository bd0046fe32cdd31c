"""What to send, when, and again when: decided here, and done by the clients, one of which blocks and one does not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, TypeAlias, cast

import httpx

from roberta_client.errors import ClientError, DeadlineError, RefusedError

JSON: TypeAlias = Any
Texts: TypeAlias = Iterable[str] | Iterable[Mapping[str, str]]
Progress: TypeAlias = Callable[[int], object]  # is called with the number of texts that were answered just now
Errors: TypeAlias = Literal["raise", "return"]

BUSY = (408, 429, 502, 503, 504)  # of the service or of a proxy: the same request may be answered later
OF_THE_INPUT = (413, 422, 500)  # what one bad text makes of the answer to its whole chunk
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 15.0  # where nothing says how long
BESIDE = ("model", "truncate", "truncation_direction")  # fields of a body that stand beside its `parameters`


@dataclass(frozen=True)
class Post:
    """A request that is to be sent within `timeout_s`."""

    path: str
    body: JSON
    timeout_s: float


# What is to be done next: a request, or a pause in seconds. What came of it is sent in: a response, or what broke.
Outcome: TypeAlias = httpx.Response | httpx.TransportError | None
Steps: TypeAlias = Generator[Post | float, Outcome, list[JSON]]


@dataclass(frozen=True)
class Question:
    """What is asked about every text of a list."""

    route: str
    fields: Mapping[str, object]
    wrap: Callable[[list[JSON]], JSON] = list  # a chunk as `inputs`
    errors: Errors = "raise"

    def ask(self, texts: list[JSON], timeout_s: float) -> Steps:
        """Answer a chunk. One that is too large is halved, and so is one with a text that is at fault."""
        try:
            return (yield from self.send(texts, timeout_s))
        except RefusedError as error:
            keeps = self.errors == "return" and error.status in OF_THE_INPUT
            if len(texts) > 1 and (keeps or error.status == 413):
                middle = len(texts) // 2
                first = yield from self.ask(texts[:middle], timeout_s)
                return first + (yield from self.ask(texts[middle:], timeout_s))
            if keeps:
                return [error]
            raise

    def send(self, texts: list[JSON], timeout_s: float) -> Steps:
        """Send a chunk until it is answered."""
        deadline = time.monotonic() + timeout_s
        body = {"inputs": self.wrap(texts), **self.fields}
        for attempt in count():
            outcome = yield Post(f"/{self.route}", body, max(deadline - time.monotonic(), 0.001))
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return answers_of(outcome, len(texts))
            reason = outcome if isinstance(outcome, httpx.TransportError) else refusal_of(outcome)
            pause_s = pause_after(outcome, attempt)
            if time.monotonic() + pause_s >= deadline:
                raise DeadlineError(f"no answer within {timeout_s:g} s: {reason}") from reason
            yield pause_s
        raise AssertionError


def answers_of(response: httpx.Response, texts: int) -> list[JSON]:
    """Return an answer for each text. Raises `ClientError` where something else answered than the service."""
    try:
        answers = response.json()
    except ValueError:
        answers = None
    if not isinstance(answers, list) or len(answers) != texts:
        raise ClientError(f"{response.url} did not answer as roberta-serve does: is the URL right?")
    return answers


def models_of(response: httpx.Response) -> list[dict[str, Any]]:
    """Return what `GET /models` answered. Raises `RefusedError`."""
    if not response.is_success:
        raise RefusedError(response)
    return cast(list[dict[str, Any]], response.json()["models"])


def refusal_of(outcome: Outcome) -> RefusedError:
    """Return why a request was refused. Raises it where asking again would not help."""
    assert isinstance(outcome, httpx.Response)
    error = RefusedError(outcome)
    if error.status not in BUSY:
        raise error
    if error.status == 504 and error.code is not None:
        raise DeadlineError(str(error)) from error
    return error


def pause_after(outcome: Outcome, attempt: int) -> float:
    """Return the seconds until the next attempt: what `Retry-After` says, else twice as many each time; never less.

    A random part keeps clients that were refused together from coming back together.
    """
    said = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx.Response) else ""
    least = float(said) if said.isdecimal() else min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
    return least * random.uniform(1, 1.5)


def asked(route: str, fields: dict[str, Any], wrap: Callable[[list[JSON]], JSON] = list) -> Question:
    """Return what to ask: `errors` is the client's, `BESIDE` are fields of the body, the rest are parameters."""
    errors: Errors = fields.pop("errors", "raise")
    beside = {name: fields.pop(name) for name in BESIDE if name in fields}
    return Question(route, {**beside, "parameters": fields}, wrap, errors)


def about(source: str) -> Callable[[list[JSON]], JSON]:
    return lambda sentences: {"source_sentence": source, "sentences": sentences}


def question_and_context(pairs: Iterable[tuple[str, str]]) -> Iterator[JSON]:
    return ({"question": question, "context": context} for question, context in pairs)


def ignore(_: int) -> None:
    """Show no progress."""
