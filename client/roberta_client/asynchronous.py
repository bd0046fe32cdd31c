"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
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


class AsyncClient(BaseClient):
    """The client for asyncio; its methods are those of `Client`."""

    def __init__(
        self, url: str = "http://localhost:8000", *, http: httpx.AsyncClient | None = None, **options: Unpack[Options]
    ) -> None:
        """`http`: what sends, with certificates or a proxy of the caller's. `options`: see `Options`."""
        super().__init__(url, **options)
        self.http = http or httpx.AsyncClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def classify(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[Label]]:
        return await self.ask("classify", texts, progress, **fields)

    async def ner(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[Entity]]:
        return await self.ask("ner", texts, progress, **fields)

    async def fill_mask(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[Candidate]]:
        return await self.ask("fill-mask", texts, progress, **fields)

    async def question_answering(
        self, pairs: Iterable[tuple[str, str]], progress: Progress = ignore, **fields: Any
    ) -> list[Answer]:
        return await self.ask("question-answering", question_and_context(pairs), progress, **fields)

    async def embed(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[list[float]]:
        return await self.ask("embed", texts, progress, **fields)

    async def similarity(
        self, source: str, sentences: Texts, progress: Progress = ignore, **fields: Any
    ) -> list[float]:
        return await self._ask(asked("similarity", fields, about(source)), sentences, progress)

    async def zero_shot(
        self, texts: Texts, candidate_labels: list[str], progress: Progress = ignore, **fields: Any
    ) -> list[list[Label]]:
        return await self.ask("zero-shot", texts, progress, candidate_labels=candidate_labels, answer="list", **fields)

    async def explain(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[dict[str, Any]]:
        return await self.ask("explain", texts, progress, **fields)

    async def summarize(self, texts: Texts, progress: Progress = ignore, **fields: Any) -> list[Summary]:
        return await self.ask("summarize", texts, progress, **fields)

    async def ask(self, route: str, texts: Iterable[JSON], progress: Progress = ignore, **fields: Any) -> list[Any]:
        """The answers of any route that takes a list of `inputs`, such as `models/NAME`."""
        return await self._ask(asked(route, fields), texts, progress)

    def each(self, route: str, texts: Iterable[JSON], **fields: Any) -> AsyncIterator[tuple[JSON, JSON]]:
        """Yield each text with its answer, in order, as answers come; `texts` is read as it is needed."""
        return self._each(asked(route, fields), texts)

    async def models(self) -> list[dict[str, Any]]:
        """What `GET /models` says of each bundle: served, or refused and why."""
        return models_of(await self.http.get(f"{self.url}/models", headers=self.headers))

    async def _ask(self, question: Question, texts: Iterable[JSON], progress: Progress) -> list[Any]:
        answers = []
        async with aclosing(self._each(question, texts)) as pairs:
            async for _, answer in pairs:
                answers.append(answer)
                progress(1)
        return answers

    async def _each(self, question: Question, texts: Iterable[JSON]) -> AsyncGenerator[tuple[JSON, JSON]]:
        waiting: deque[tuple[list[JSON], asyncio.Task[list[JSON]]]] = deque()
        try:
            for chunk in self.chunks(texts):
                waiting.append((chunk, asyncio.create_task(self._do(question.ask(chunk, self.timeout_s)))))
                if len(waiting) == self.in_flight:
                    for pair in await answered(*waiting.popleft()):
                        yield pair
            while waiting:
                for pair in await answered(*waiting.popleft()):
                    yield pair
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)

    async def _do(self, steps: Steps) -> list[JSON]:
        """Take the steps of one chunk."""
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                return cast(list[JSON], done.value)
            if isinstance(step, Post):
                outcome = await self._send(step)
            else:
                await asyncio.sleep(step)

    async def _send(self, post: Post) -> httpx.Response | httpx.TransportError:
        try:
            return await self.http.post(**self.sent(post))
        except httpx.TransportError as error:
            return error


async def answered(chunk: list[JSON], task: asyncio.Task[list[JSON]]) -> Iterable[tuple[JSON, JSON]]:
    return zip(chunk, await task, strict=True)
