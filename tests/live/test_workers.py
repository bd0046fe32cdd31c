"""Several processes: whichever of them is killed, the others go on or end, and nobody is left waiting or orphaned."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.live.test_lifecycle import send_and_stay
from tests.support.answers import assert_error
from tests.support.server import REPOSITORY, SeveralService, command, environment, held, serve_several, until

BODY = {"inputs": "a good film"}


@pytest.fixture
def service(tiny_models, tmp_path):
    """Two workers, and an engine with one runner."""
    with serve_several(tiny_models, tmp_path, runners=1) as service:
        yield service


def answered(service: SeveralService) -> float:
    return service.metric("roberta_requests_total", task="classify", code="200")


def ask_anew(service: SeveralService) -> int | None:
    """Ask over a new connection and return the status, or None where there was no answer."""
    try:
        return httpx.post(f"{service.url}/classify", json=BODY, timeout=30).status_code
    except httpx.TransportError:
        return None


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def events(service: SeveralService) -> list[dict[str, object]]:
    return [json.loads(line) for line in service.log().splitlines()]


def test_a_worker_that_is_killed_is_replaced_and_its_counts_are_kept(service):
    for _ in range(20):
        assert ask_anew(service) == 200
    before = answered(service)
    cpu = service.metric("process_cpu_seconds_total")
    assert before == 20
    first = service.processes("worker")

    os.kill(first[0], signal.SIGKILL)

    until(lambda: service.workers_serving() == 3)
    assert len(set(service.processes("worker")) - {first[0]}) == 2
    statuses = [ask_anew(service) for _ in range(20)]
    assert statuses == [200] * 20
    scrapes = [float(sum_of_requests(service)) for _ in range(10)]  # whichever worker answers
    assert scrapes == [before + 20] * 10
    assert service.metric("process_cpu_seconds_total") >= cpu
    (died,) = [event for event in events(service) if event["event"] == "process_died"]
    assert (died["code"], died["process"]) == (-signal.SIGKILL, "supervisor")


def sum_of_requests(service: SeveralService) -> float:
    """Return the number of answered requests over a new connection."""
    text = httpx.get(f"{service.url}/metrics").text
    return sum(float(value) for value in re.findall(r'^roberta_requests_total\{.*code="200".*\} (.+)$', text, re.M))


def test_connections_are_spread_over_the_workers(service):
    """Refusals say in the log who answered. That one worker gets all of 64 happens once in 2 ** 63 times."""
    clients = [httpx.Client(base_url=service.url) for _ in range(64)]
    statuses = {client.post("/classify", json={}).status_code for client in clients}
    for client in clients:
        client.close()
    assert statuses == {422}
    assert {event["process"] for event in events(service) if event["event"] == "request_failed"} == {
        "worker-0",
        "worker-1",
    }


def test_a_second_supervisor_on_the_same_port_ends(service, tiny_models):
    port = service.url.rpartition(":")[2]
    line = [sys.executable, "-m", "app", "--models", str(tiny_models), "--host", "127.0.0.1", "--http-workers", "1"]
    done = subprocess.run(
        [*line, "--port", port], cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "address already in use" in done.stderr.lower()


def test_the_other_worker_goes_on_while_one_is_away(service):
    for pid in service.processes("worker")[:1]:
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))  # noqa: B023
        assert ask_anew(service) == 200


def test_a_worker_that_is_killed_leaves_the_queue(service, pool):
    with held(service, "tiny-classify") as gate:
        pool.submit(ask_anew, service)
        gate.wait_for_batch()
        queued = [pool.submit(ask_anew, service) for _ in range(8)]
        until(lambda: service.metric("roberta_queue_requests") == 8)

        for pid in service.processes("worker"):
            os.kill(pid, signal.SIGKILL)

        assert {future.result() for future in queued} == {None}
        until(lambda: service.workers_serving() == 4)
        assert service.metric("roberta_queue_requests") == service.metric("roberta_queue_tokens") == 0
    assert ask_anew(service) == 200


def test_what_an_engine_had_that_is_killed_is_answered_by_the_next_one(service, pool):
    (engine,) = service.processes("engine")
    with held(service, "tiny-classify") as gate:
        waiting = [pool.submit(service.client.post, "/classify", json=BODY)]
        gate.wait_for_batch()  # of that one alone: the rest would join it
        waiting += [pool.submit(service.client.post, "/classify", json=BODY) for _ in range(3)]
        until(lambda: service.metric("roberta_queue_requests") == 3)

        os.kill(engine, signal.SIGKILL)

        until(lambda: service.metric("roberta_resent_total") == 4)
    assert [future.result().status_code for future in waiting] == [200] * 4
    until(service.is_ready)
    assert service.client.get("/health/live").status_code == 200
    assert [ask_anew(service) for _ in range(10)] == [200] * 10
    assert service.processes("engine") != [engine]
    assert service.metric("roberta_queue_requests") == 0


def test_a_request_that_ends_two_engines_is_refused(service, pool):
    """It might end every one that it is sent to."""
    with held(service, "tiny-classify") as gate:
        asked = pool.submit(service.client.post, "/classify", json=BODY)
        for _ in range(2):
            gate.wait_for_batch()
            os.kill(*service.processes("engine"), signal.SIGKILL)
        assert_error(asked.result(), 503, "engine_lost", "ended twice")
        assert int(asked.result().headers["retry-after"]) >= 1
    until(service.is_ready)
    assert ask_anew(service) == 200


def test_without_an_engine_the_service_is_live_and_not_ready_and_requests_wait(service):
    (engine,) = service.processes("engine")
    with held(service, "tiny-classify"):
        os.kill(engine, signal.SIGKILL)
        until(lambda: service.client.get("/health/ready").status_code == 503)
        assert service.client.get("/health/live").status_code == 200
        hasty = service.client.post("/classify", json=BODY, headers={"X-Request-Timeout-Ms": "50"})
        assert_error(hasty, 504, "deadline_exceeded")
    until(service.is_ready)


def test_nobody_outlives_a_supervisor_that_is_killed_and_another_takes_its_port(service, pool, tiny_models, tmp_path):
    """Not even a process that is stopped."""
    family = service.processes("worker") + service.processes("engine")
    folder = service.folder_of_sockets()
    assert len(family) == 3
    with held(service, "tiny-classify") as gate:
        asked = pool.submit(ask_anew, service)
        gate.wait_for_batch()
        os.kill(family[0], signal.SIGSTOP)

        service.process.kill()
        port = service.url.rpartition(":")[2]
        with command(tiny_models, tmp_path / "next", "--http-workers", "1", "--port", port) as following:
            assert following.client.post("/ner", json=BODY).status_code == 200

        until(lambda: not any(is_alive(pid) for pid in family))
        assert asked.result() is None
    until(lambda: not folder.exists())


def test_a_client_that_leaves_frees_its_place_whichever_worker_it_asked(service, pool):
    with held(service, "tiny-classify") as gate:
        running = pool.submit(ask_anew, service)
        gate.wait_for_batch()
        connections = [send_and_stay(service, BODY) for _ in range(10)]
        until(lambda: service.metric("roberta_queue_requests") == 10)
        for connection in connections:
            connection.close()
        until(lambda: service.metric("roberta_cancelled_total") == 10)
        assert service.metric("roberta_queue_requests") == 0
    assert running.result() == 200


@pytest.mark.parametrize("role", ["engine", "worker"])
def test_signals_to_everybody_stop_nobody_who_is_needed(service, pool, role):
    """As from a terminal, or an init system that signals a whole group."""
    with held(service, "tiny-classify") as gate:
        running = pool.submit(ask_anew, service)
        gate.wait_for_batch()
        for pid in service.processes(role):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        service.process.send_signal(signal.SIGTERM)
        until(lambda: '"draining"' in service.log())
    assert running.result() == 200
    assert service.process.wait(30) == 0
    assert not [event for event in events(service) if event["level"] in ("warning", "error")]


def test_every_line_of_the_log_names_its_process(service):
    assert ask_anew(service) == 200
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(30)
    assert {event["process"] for event in events(service)} == {"supervisor", "engine-0", "worker-0", "worker-1"}


def test_a_device_that_is_not_there_ends_the_command(tiny_models):
    line = [sys.executable, "-m", "app", "--models", str(tiny_models), "--port", "0", "--http-workers", "1"]
    done = subprocess.run(
        [*line, "--device", "cuda"], cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "device cuda was asked for, but the installed onnxruntime has only cpu" in done.stderr
