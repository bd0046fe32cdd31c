"""A client on httpx, sync and async: it asks, waits when the service says so, and sends a file of lines in chunks.

    python examples/client.py reviews.txt --route classify > answers.jsonl

Copy this file: it needs httpx and nothing of this project.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

BUSY = (429, 503)  # the queue is full, or the service is starting or stopping: `Retry-After` says when to ask again
ATTEMPTS = 5
LONGEST_PAUSE_S = 30.0
CHUNK = 64  # texts in one request: enough to fill batches, few enough that others get their turn


class AnswerError(Exception):
    """The service refused a request. `code` is its `error_type`, the message its sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Client:
    """Asks a service through `http`, whose base URL and headers are the caller's; one client serves many threads."""

    def __init__(self, http: httpx.Client, sleep: Callable[[float], None] = time.sleep) -> None:
        self._http, self._sleep = http, sleep

    def ask(self, route: str, inputs: object, **fields: object) -> Any:
        """Return the answer to a text or a list of texts; `fields` are more of the body, such as `parameters`.

        Raises `AnswerError` when the service refuses, also after `ATTEMPTS` at a busy service.
        """
        for _ in range(ATTEMPTS - 1):
            response = self._http.post(f"/{route}", json={"inputs": inputs, **fields})
            if response.status_code not in BUSY:
                return answer_of(response)
            self._sleep(pause_s(response))
        return answer_of(self._http.post(f"/{route}", json={"inputs": inputs, **fields}))

    def ask_lines(self, route: str, lines: Iterable[str], **fields: object) -> Iterator[tuple[str, Any]]:
        """Yield each text with its answer, in order; empty lines are left out."""
        for chunk in chunks(lines):
            yield from zip(chunk, self.ask(route, chunk, **fields), strict=True)


class AsyncClient:
    """The same for asyncio. Send requests side by side: the service makes batches of them."""

    def __init__(self, http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._http, self._sleep = http, sleep

    async def ask(self, route: str, inputs: object, **fields: object) -> Any:
        """Return the answer; see `Client.ask`."""
        for _ in range(ATTEMPTS - 1):
            response = await self._http.post(f"/{route}", json={"inputs": inputs, **fields})
            if response.status_code not in BUSY:
                return answer_of(response)
            await self._sleep(pause_s(response))
        return answer_of(await self._http.post(f"/{route}", json={"inputs": inputs, **fields}))

    async def ask_all(self, route: str, texts: Iterable[str], at_once: int = 16, **fields: object) -> list[Any]:
        """Return the answers to single texts, of which `at_once` are asked at a time."""
        free = asyncio.Semaphore(at_once)

        async def one(text: str) -> Any:
            async with free:
                return await self.ask(route, text, **fields)

        return await asyncio.gather(*map(one, texts))


def answer_of(response: httpx.Response) -> Any:
    """Return the body of an answer. Raises `AnswerError` for an error of the service, httpx's own for a proxy's."""
    if response.is_success:
        return response.json()
    try:
        body = response.json()
        error = AnswerError(body["error_type"], body["error"])
    except (ValueError, KeyError, TypeError):
        response.raise_for_status()
        raise
    raise error


def pause_s(response: httpx.Response) -> float:
    """Return the seconds that a busy service asks its client to wait; one second where it does not say."""
    try:
        return min(float(response.headers.get("retry-after", 1)), LONGEST_PAUSE_S)
    except ValueError:  # the other form of the header, a date
        return LONGEST_PAUSE_S


def chunks(lines: Iterable[str], size: int = CHUNK) -> Iterator[list[str]]:
    """Yield lists of at most `size` texts."""
    texts = (line.strip() for line in lines)
    wanted = filter(None, texts)
    while chunk := list(islice(wanted, size)):
        yield chunk


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a service about each line of a file; print a line of JSON each.")
    parser.add_argument("file", type=Path, help="one text a line")
    parser.add_argument("--url", default="http://localhost:8000", help="address of the service (%(default)s)")
    parser.add_argument("--route", default="classify", help="route, or models/NAME (%(default)s)")
    parser.add_argument("--key", help="API key, where the service asks for one")
    options = parser.parse_args()
    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    with (
        httpx.Client(base_url=options.url, headers=headers, timeout=60) as http,
        options.file.open(encoding="utf-8") as lines,
    ):
        try:
            for text, answer in Client(http).ask_lines(options.route, lines):
                sys.stdout.write(json.dumps({"text": text, "answer": answer}, ensure_ascii=False) + "\n")
        except (AnswerError, httpx.HTTPError) as error:
            raise SystemExit(f"client: {error}") from None


if __name__ == "__main__":
    main()
