"""Load on a service: requests to every model, and every mistake that a client makes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx

from tests.support.server import ANSWER_S

PAUSE_S = 0.01
TEXT = "a good <mask> film"


class Traffic:
    """Asks until it is left: each model in turn, and after each a request that is a mistake."""

    def __init__(
        self, url: str, key: str, models: Sequence[str], clients: int = 2, *, texts: int = 1, mistakes: bool = True
    ) -> None:
        self._url, self._key, self._models, self._mistakes = url, key, models, mistakes
        self._inputs: str | list[str] = TEXT if texts == 1 else [TEXT] * texts
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, name="traffic") for _ in range(clients)]
        self.statuses: Counter[int] = Counter()

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self) -> None:
        with httpx.Client(base_url=self._url, timeout=ANSWER_S, headers=bearer(self._key)) as client:
            while not self._ended.is_set():
                for model in self._models:
                    self._ask(client, f"/models/{model}", json={"inputs": self._inputs})
                if self._mistakes:
                    self._err(client)

    def _err(self, client: httpx.Client) -> None:
        path = f"/models/{self._models[0]}"
        self._ask(client, path, json={"inputs": ""})
        self._ask(client, path, content=b"{")
        self._ask(client, "/models/none", json={"inputs": TEXT})
        self._ask(client, path, json={"inputs": TEXT}, headers=bearer("another"))
        self._ask(client, path, json={"inputs": [TEXT] * 64}, headers={"X-Request-Timeout-Ms": "2"})

    def _ask(self, client: httpx.Client, path: str, **fields: Any) -> None:
        try:
            self.statuses[client.post(path, **fields).status_code] += 1
        except httpx.TransportError:
            self.statuses[0] += 1
        time.sleep(PAUSE_S)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class Burst:
    """Sends so many requests at once, each on a thread, and waits for none until it is left."""

    def __init__(self, url: str, key: str, path: str, count: int, timeout_ms: int | None = None) -> None:
        headers = bearer(key) | ({} if timeout_ms is None else {"X-Request-Timeout-Ms": str(timeout_ms)})
        self._request = {"json": {"inputs": TEXT}, "headers": headers, "timeout": ANSWER_S}
        self._threads = [threading.Thread(target=self._ask, args=(url + path,), name="burst") for _ in range(count)]
        self.statuses: Counter[int] = Counter()

    def __enter__(self) -> Burst:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self, url: str) -> None:
        try:
            self.statuses[httpx.post(url, **self._request).status_code] += 1
        except httpx.TransportError:
            self.statuses[0] += 1
