"""An engine process that dies or freezes under load: nothing is lost, nothing is wrong, and hardly anything refused."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.live.test_workers import events
from tests.support.server import SeveralService, held, serve, serve_several, until

CLIENTS = 8
BRIEF = {"X-Request-Timeout-Ms": "500"}
TEXTS = [f"{word} film" * length for word in ("good", "bad", "long", "odd") for length in (1, 7)]


@pytest.fixture(scope="module")
def service(tiny_models, tmp_path_factory):
    """A service that heals from one test to the next."""
    with serve_several(tiny_models, tmp_path_factory.mktemp("faults"), request_timeout_s=120) as service:
        yield service


def restarts(service, role):
    return service.metric("roberta_process_restarts_total", role=role)


class Liveness:
    """What /health/live is answered with again and again: an orchestrator that is told 503 ends all processes."""

    def __init__(self, service: SeveralService) -> None:
        self._service, self._ended = service, threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.seen: set[int] = set()

    def __enter__(self) -> Liveness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        with httpx.Client(base_url=self._service.url, timeout=130) as client:
            while not self._ended.wait(0.05):
                self.seen.add(client.get("/health/live").status_code)


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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_an_engine_that_is_lost_or_frozen_under_load_loses_nothing(service, number):
    engines, workers = restarts(service, "engine"), restarts(service, "worker")
    with Liveness(service) as liveness, Load(service) as load:
        for _ in range(2):
            load.right_after(100)
            (engine,) = service.processes("engine")
            os.kill(engine, number)
            until(lambda: service.processes("engine") not in ([], [engine]))  # noqa: B023
        load.right_after(100)
    assert load.counts.keys() == {"right"}
    assert liveness.seen == {200}
    assert service.metric("roberta_resent_total") > 0
    assert (restarts(service, "engine"), restarts(service, "worker")) == (engines + 2, workers)


def test_a_frozen_engine_is_seen_within_seconds_and_replaced(service):
    """Its socket stays open, so that only its silence tells."""
    (engine,) = service.processes("engine")
    assert service.metric("roberta_engine_up", engine="0") == 1
    os.kill(engine, signal.SIGSTOP)
    with Liveness(service) as liveness:
        until(lambda: service.client.get("/health/ready").status_code == 503)
        assert service.metric("roberta_engine_up", engine="0") == 0
        until(service.is_ready)
    assert liveness.seen == {200}
    assert service.metric("roberta_engine_up", engine="0") == 1
    assert service.processes("engine") not in ([], [engine])
    assert "stopped" in [event.get("state") for event in events(service)]


def test_an_engine_that_goes_on_in_time_keeps_its_place_and_answers(service, pool):
    (engine,) = service.processes("engine")
    os.kill(engine, signal.SIGSTOP)
    asked = [pool.submit(service.client.post, "/classify", json={"inputs": text}) for text in TEXTS]
    until(lambda: service.metric("process_start_time_seconds") > 0)
    os.kill(engine, signal.SIGCONT)
    assert [future.result().status_code for future in asked] == [200] * len(TEXTS)
    assert service.processes("engine") == [engine]


def test_a_frozen_worker_is_replaced_within_seconds(service):
    """Until then the kernel goes on giving it connections, which end with it."""
    first, _ = workers = service.processes("worker")
    before, serving = restarts(service, "worker"), service.workers_serving()
    os.kill(first, signal.SIGSTOP)
    until(lambda: first not in service.processes("worker"))
    until(lambda: service.workers_serving() == serving + 1)
    assert len(set(service.processes("worker")) - set(workers)) == 1
    assert [httpx.post(f"{service.url}/classify", json={"inputs": "a"}).status_code for _ in range(10)] == [200] * 10
    assert restarts(service, "worker") == before + 1


def test_an_engine_whose_runner_hangs_is_replaced(tiny_models, tmp_path, pool):
    with serve_several(tiny_models, tmp_path, stall_timeout_s=2, runners=2) as service:
        (engine,) = service.processes("engine")
        with held(service, "tiny-classify") as gate:
            hangs = pool.submit(service.client.post, "/classify", json={"inputs": "a"}, headers=BRIEF)
            gate.wait_for_batch()
            assert service.client.post("/ner", json={"inputs": "a"}).status_code == 200  # by the other runner
            assert hangs.result().status_code == 504
            with Liveness(service) as liveness:
                until(lambda: service.client.get("/health/ready").status_code == 503)
                until(lambda: service.processes("engine") not in ([], [engine]))
        until(service.is_ready)
        assert liveness.seen == {200}
        assert service.client.post("/classify", json={"inputs": "a"}).status_code == 200
        assert "stalled" in [event.get("state") for event in events(service)]
        assert restarts(service, "engine") == 1


def test_in_one_process_a_runner_that_hangs_turns_liveness_red(tiny_models, pool):
    with serve(tiny_models, stall_timeout_s=1, runners=2) as service, held(service, "tiny-classify") as gate:
        hangs = pool.submit(service.client.post, "/classify", json={"inputs": "a"}, headers=BRIEF)
        gate.wait_for_batch()
        assert hangs.result().status_code == 504
        until(lambda: service.client.get("/health/live").status_code == 503)
        assert service.client.get("/health/ready").json()["reason"] == "the service makes no progress: stalled"
        assert service.metric("roberta_engine_up", engine="0") == 0
        assert service.client.post("/ner", json={"inputs": "a"}).status_code == 200  # by the other runner
        gate.opened.set()
        until(lambda: service.client.get("/health/live").status_code == 200)
        assert service.metric("roberta_engine_up", engine="0") == 1
