"""An engine process that dies or freezes under load: nothing is lost, nothing is wrong, and hardly anything refused."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.server import SeveralService, serve_several, until

CLIENTS = 8
TEXTS = [f"{word} film" * length for word in ("good", "bad", "long", "odd") for length in (1, 7)]


@pytest.fixture
def service(tiny_models, tmp_path):
    with serve_several(tiny_models, tmp_path, request_timeout_s=120) as service:
        yield service


class Load:
    """Clients that ask without a pause, each answer compared with what the text gets alone."""

    def __init__(self, service: SeveralService) -> None:
        self._service, self._ended = service, threading.Event()
        self._expected = {text: self._ask(service.client, text).json() for text in TEXTS}
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Load:
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._clients = [self._pool.submit(self._go_on, number) for number in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for client in self._clients:
            client.result()
        self._pool.shutdown()

    def right_after(self, more: int) -> None:
        """Return when so many further requests have been answered rightly."""
        before = self.counts["right"]
        until(lambda: self.counts["right"] >= before + more)

    def _ask(self, client: httpx.Client, text: str) -> httpx.Response:
        return client.post("/classify", json={"inputs": text})

    def _go_on(self, number: int) -> None:
        with httpx.Client(base_url=self._service.url, timeout=130) as client:
            while not self._ended.is_set():
                text = TEXTS[number % len(TEXTS)]
                number += 1
                self.counts[self._outcome(client, text)] += 1

    def _outcome(self, client: httpx.Client, text: str) -> str:
        try:
            answer = self._ask(client, text)
        except httpx.TransportError:
            return "lost"
        if answer.status_code == 200:
            return "right" if answer.json() == self._expected[text] else "wrong"
        return f"refused {answer.status_code}"


@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_an_engine_that_is_lost_under_load_loses_nothing(service, number):
    with Load(service) as load:
        for _ in range(2):
            load.right_after(100)
            (engine,) = service.processes("engine")
            os.kill(engine, number)
            until(lambda: service.processes("engine") not in ([], [engine]))  # noqa: B023
        load.right_after(100)
    assert load.counts.keys() == {"right"}
    assert service.metric("roberta_resent_total") > 0
