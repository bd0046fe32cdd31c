"""The client that blocks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Self, Unpack, cast

import httpx

from roberta_client.answers import Answer, Candidate, Entity, Label, Summary
from roberta_client.asking import (
    JSON,
    Outcome,
    Post,
    Progress,
    Question,
    Steps,
    Texts,
    about,
    asked,
    ignore,
    models_of,
    question_and_context,
)
from roberta_client.base import BaseClient, Options


class Client(BaseClient):
    """The blocking client; one serves many threads.

    Each method takes `progress`, such as `tqdm(total=len(texts)).update`, and as keywords `model`, `truncate`,
    `errors`, and the route's parameters. `errors="return"` gives a text that is refused a `RefusedError` for an answer
    and goes on; else it is raised. All raise `DeadlineError` where the service stays busy, or away, for `timeout_s`.
    """

    def __init__(
        self, url: str = "http://localhost:8000", *, http: httpx.Client | None = None, **options: Unpack[Options]
    ) -> None:
        """`http`: what sends, with certificates or a proxy of the caller's. `options`: see `Options`."""
        super().__init__(url, **options)
        self.http = http or httpx.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def classify(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[Label]]:
        """Labels with scores, the best first. A text may be a pair: `{"text", "text_pair"}`."""
        return self.ask("classify", texts, progress, **fields)

    def ner(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[Entity]]:
        """Entities with their offsets."""
        return self.ask("ner", texts, progress, **fields)

    def fill_mask(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[Candidate]]:
        """Candidates for the mask; of a text with several masks, a list of candidates for each."""
        return self.ask("fill-mask", texts, progress, **fields)

    def question_answering(
        self, pairs: Iterable[tuple[str, str]], progress: Progress = ignore, **fields: Any
    ) -> list[Answer]:
        """The answer to each question in its context; a list of answers where `top_k` is above 1."""
        return self.ask("question-answering", question_and_context(pairs), progress, **fields)

    def embed(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[float]]:
        """A vector for each text."""
        return self.ask("embed", texts, progress, **fields)

    def similarity(self, source: str, sentences: Texts, progress: Progress = ignore, **fields: Any) -> list[float]:
        """The cosine of each sentence with `source`."""
        return self._ask(asked("similarity", fields, about(source)), sentences, progress)

    def zero_shot(
        self, texts: Texts, candidate_labels: list[str], progress: Progress = ignore, **fields: Any
    ) -> list[list[Label]]:
        """The caller's labels with scores, the best first."""
        return self.ask("zero-shot", texts, progress, candidate_labels=candidate_labels, answer="list", **fields)

    def explain(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[dict[str, Any]]:
        """What each word adds to the score of the best label, or of each entity."""
        return self.ask("explain", texts, progress, **fields)

    def summarize(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[Summary]:
        """The sentences nearest to the whole text."""
        return self.ask("summarize", texts, progress, **fields)

    def ask(self, route: str, texts: Iterable[JSON], progress: Progress = ignore, **fields: Any) -> list[Any]:
        """The answers of any route that takes a list of `inputs`, such as `models/NAME`."""
        return self._ask(asked(route, fields), texts, progress)

    def each(self, route: str, texts: Iterable[JSON], **fields: Any) -> Iterator[tuple[JSON, JSON]]:
        """Yield each text with its answer, in order, as answers come; `texts` is read as it is needed."""
        return self._each(asked(route, fields), texts)

    def models(self) -> list[dict[str, Any]]:
        """What `GET /models` says of each bundle: served, or refused and why."""
        return models_of(self.http.get(f"{self.url}/models", headers=self.headers))

    def _ask(self, question: Question, texts: Iterable[JSON], progress: Progress) -> list[Any]:
        answers = []
        with closing(self._each(question, texts)) as pairs:
            for _, answer in pairs:
                answers.append(answer)
                progress(1)
        return answers

    def _each(self, question: Question, texts: Iterable[JSON]) -> Generator[tuple[JSON, JSON]]:
        left = threading.Event()
        waiting: deque[tuple[list[JSON], Future[list[JSON]]]] = deque()
        pool = ThreadPoolExecutor(self.in_flight, "roberta-client")
        try:
            for chunk in self.chunks(texts):
                waiting.append((chunk, pool.submit(self._do, question.ask(chunk, self.timeout_s), left)))
                if len(waiting) == self.in_flight:
                    chunk, future = waiting.popleft()
                    yield from zip(chunk, future.result(), strict=True)
            for chunk, future in waiting:
                yield from zip(chunk, future.result(), strict=True)
        finally:
            left.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _do(self, steps: Steps, left: threading.Event) -> list[JSON]:
        """Take the steps of one chunk, until the caller has left."""
        outcome: Outcome = None
        while not left.is_set():
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                return cast(list[JSON], done.value)
            if isinstance(step, Post):
                outcome = self._send(step)
            else:
                left.wait(step)
        return []

    def _send(self, post: Post) -> httpx.Response | httpx.TransportError:
        try:
            return self.http.post(**self.sent(post))
        except httpx.TransportError as error:
            return error
