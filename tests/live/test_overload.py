"""No room, no time, a model that fails, a service that loads or drains: what is answered, and that nothing is lost."""

from __future__ import annotations

import threading

from structlog.testing import capture_logs

from tests.support.answers import TEXT, ask, assert_error
from tests.support.server import held, replaced, serve, until

SECRET = "hunter2-in-an-exception"


# --- 429, 504: no room, no time ---------------------------------------------------------------------------


def test_a_full_queue_is_a_429_that_says_when_to_come_back(small, pool):
    refused = small.metric("roberta_rejected_total", reason="queue_full")
    half = "a film " * 120
    with held(small, "tiny-classify") as gate:
        running = pool.submit(ask, small)
        gate.wait_for_batch()
        queued = pool.submit(ask, small, inputs=half)
        until(lambda: small.metric("roberta_queue_requests") == 1)
        assert small.metric("roberta_queue_tokens") > 256

        response = ask(small, inputs=half)

        assert_error(response, 429, "queue_full", "try again later")
        assert int(response.headers["retry-after"]) >= 1
        assert small.metric("roberta_rejected_total", reason="queue_full") == refused + 1
    assert [running.result().status_code, queued.result().status_code] == [200, 200]
    assert ask(small, inputs=half).status_code == 200


def test_a_deadline_that_passes_is_a_504(small, pool):
    missed = small.metric("roberta_deadline_missed_total")
    with held(small, "tiny-classify") as gate:
        running = pool.submit(ask, small)
        gate.wait_for_batch()

        response = ask(small, headers={"X-Request-Timeout-Ms": "50"})

        assert_error(response, 504, "deadline_exceeded", "deadline")
        assert small.metric("roberta_queue_requests") == small.metric("roberta_queue_tokens") == 0
    assert running.result().status_code == 200
    assert small.metric("roberta_deadline_missed_total") == missed + 1


def test_a_deadline_that_cannot_be_met_is_a_504_before_any_work(small_here):
    cost = small_here.lane("tiny-classify").cost
    with replaced(cost, "per_token", 1.0):
        assert_error(ask(small_here, headers={"X-Request-Timeout-Ms": "500"}), 504, "deadline_unmeetable", "would take")


# --- 500: nothing internal leaks --------------------------------------------------------------------------


def fail(*_: object, **__: object) -> None:
    raise RuntimeError(f"{SECRET} at /usr/lib/internal.so")


def test_a_failing_forward_pass_is_a_500_that_leaks_nothing(tiny_here, caplog):
    failures = tiny_here.metric("roberta_forward_failures_total", model="tiny-classify")
    with replaced(tiny_here.lane("tiny-classify"), "run", fail), capture_logs() as logs:
        response = ask(tiny_here)

    assert_error(response, 500, "inference_failed")
    assert_leaks_nothing(response.text, str(logs), caplog.text)
    assert "RuntimeError" in str(logs)
    assert tiny_here.metric("roberta_forward_failures_total", model="tiny-classify") == failures + 1
    assert ask(tiny_here).status_code == 200


def assert_leaks_nothing(*outputs: str) -> None:
    for output in outputs:
        for word in (SECRET, "internal.so", TEXT):
            assert word not in output


def test_only_the_culprit_of_a_batch_fails(small_here, pool):
    lane = small_here.lane("tiny-classify")
    run, culprit = lane.run, "bad " * 9

    def fail_on_the_longest(windows, **where):
        if max(map(len, windows)) > 8:
            raise RuntimeError("this one")
        return run(windows, **where)

    with replaced(lane, "run", fail_on_the_longest), held(small_here, "tiny-classify") as gate:
        running = pool.submit(ask, small_here)
        gate.wait_for_batch()
        batch = [pool.submit(ask, small_here, inputs=text) for text in ("good", "warm", culprit, "cold", "dull")]
        until(lambda: small_here.metric("roberta_queue_requests") == 5)
        gate.opened.set()
        statuses = [future.result().status_code for future in (running, *batch)]

    assert statuses == [200, 200, 200, 500, 200, 200]


# --- 503: not yet, or no longer ---------------------------------------------------------------------------


def test_a_service_that_is_loading_is_a_503(tiny_models):
    go_on = threading.Event()

    def prepare(app):
        loader, load = app.service.backend.loader, app.service.backend.loader.load
        loader.load = lambda: go_on.wait(30) and load()

    with serve(tiny_models, wait=False, prepare=prepare) as service:
        try:
            response = ask(service)
            assert_error(response, 503, "not_ready", "still loading")
            assert int(response.headers["retry-after"]) >= 1
            assert service.client.get("/health/live").status_code == 200
            assert service.client.get("/health/ready").status_code == 503
            assert service.client.get("/classify/health").status_code == 503
            assert service.client.get("/models").json()["models"] == []
        finally:
            go_on.set()
        until(service.is_ready)
        assert ask(service).status_code == 200


def test_a_service_that_is_draining_is_a_503_and_finishes_its_work(small_here, pool):
    with held(small_here, "tiny-classify") as gate:
        running = pool.submit(ask, small_here)
        gate.wait_for_batch()
        with replaced(small_here.app.service, "draining", True):
            assert_error(ask(small_here), 503, "not_ready", "shutting down")
            assert_error(ask(small_here, "/models/tiny-ner"), 503, "not_ready", "shutting down")
            assert small_here.client.get("/health/live").status_code == 200
            for path in ("/health", "/health/ready", "/ner/health"):
                response = small_here.client.get(path)
                assert response.status_code == 503
                assert "shutting down" in response.json()["reason"]
            gate.opened.set()
            assert running.result().status_code == 200
