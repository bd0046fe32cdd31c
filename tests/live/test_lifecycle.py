"""From the command to its end: start, reload, clients that leave, runners that hang, and SIGTERM."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest

from tests.live.test_bundles import copy_bundle, truncate_graph
from tests.support.answers import assert_error
from tests.support.server import REPOSITORY, SHAPES, WORKERS, Service, command, held, serve_as, until

BODY = {"inputs": "a good film"}
TASKS = ["classify", "ner", "fill-mask"]
FLAGS = pytest.mark.parametrize("flags", [(), ("--http-workers", str(WORKERS))], ids=SHAPES)
HANGING = """
import threading
from app.__main__ import main
from app.engine.runner import Runner

Runner.process = lambda self, batch: threading.Event().wait()
main()
"""


@pytest.fixture(params=SHAPES)
def lone(request, tiny_models, tmp_path):
    """A service with one runner, which one batch keeps busy."""
    with serve_as(request.param, tiny_models, tmp_path, runners=1) as service:
        yield service


# --- Clients that leave -----------------------------------------------------------------------------------


def send_and_stay(service: Service, body: object) -> socket.socket:
    """Send a request and return its open connection, the answer unread."""
    content = json.dumps(body).encode()
    head = f"POST /classify HTTP/1.1\r\nHost: test\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    connection = socket.create_connection((service.client.base_url.host, service.client.base_url.port))
    connection.sendall(head + content)
    return connection


def test_a_client_that_leaves_frees_its_place_in_the_queue(lone, pool):
    with held(lone, "tiny-classify") as gate:
        running = pool.submit(lone.client.post, "/classify", json=BODY)
        gate.wait_for_batch()
        connections = [send_and_stay(lone, {"inputs": ["a film", "a warm film"]}) for _ in range(3)]
        until(lambda: lone.metric("roberta_queue_requests") == 3)
        assert lone.metric("roberta_queue_tokens") > 0

        for left, connection in enumerate(connections, start=1):
            connection.close()
            until(lambda: lone.metric("roberta_cancelled_total") == left)  # noqa: B023
            assert lone.metric("roberta_queue_requests") == 3 - left

        assert lone.metric("roberta_queue_tokens") == 0
    assert running.result().status_code == 200
    assert lone.metric("roberta_batch_sequences_sum", model="tiny-classify") == 1
    assert lone.metric("roberta_requests_total", code="499") == 3


def test_a_client_that_leaves_while_its_batch_runs_is_counted(lone):
    with held(lone, "tiny-classify") as gate:
        connection = send_and_stay(lone, BODY)
        gate.wait_for_batch()
        connection.close()
        until(lambda: lone.metric("roberta_cancelled_total") == 1)
    assert lone.client.post("/classify", json=BODY).status_code == 200


# --- Runners that hang ------------------------------------------------------------------------------------


def test_a_runner_that_hangs_turns_liveness_red_until_it_moves_again(tiny_models, tmp_path, pool):
    """Of several processes, the engine would be replaced."""
    with serve_as(SHAPES[0], tiny_models, tmp_path, runners=1, stall_timeout_s=0.05) as service:
        assert service.client.get("/health/live").status_code == 200
        with held(service, "tiny-classify") as gate:
            running = pool.submit(service.client.post, "/classify", json=BODY)
            gate.wait_for_batch()
            until(lambda: service.client.get("/health/live").status_code == 503)
            assert service.client.get("/health/live").json() == {"status": "stalled"}
        assert running.result().status_code == 200
        until(lambda: service.client.get("/health/live").status_code == 200)


# --- The command ------------------------------------------------------------------------------------------


@FLAGS
def test_the_command_serves_and_ends_cleanly(flags, tiny_models, tmp_path):
    with command(tiny_models, tmp_path / "log", *flags) as service:
        for task in TASKS:
            response = service.client.post(f"/{task}", json={"inputs": "a good <mask> film"})
            assert response.status_code == 200
            assert response.headers["x-model"] == f"tiny-{task}:1"
        assert "server" not in response.headers

        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(30) == 0
    events = [json.loads(line)["event"] for line in service.log().splitlines()]
    assert events.count("model_ready") == 3
    assert "stopped" in events


@FLAGS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_answered_before_the_command_ends(flags, tiny_models, tmp_path, pool, number):
    """A long queue delay keeps the requests in flight while the signal arrives; of some they have just been answered,
    where the machine took longer than that to send the others."""
    with command(tiny_models, tmp_path / "log", "--max-queue-delay-ms", "3000", *flags) as service:
        until(lambda: service.log().count('"models_served"') >= (WORKERS if flags else 0))
        answers = [pool.submit(service.client.post, f"/{task}", json={"inputs": "a <mask>"}) for task in TASKS * 3]

        def all_have_arrived() -> bool:
            answered = [answer.result().status_code for answer in answers if answer.done()]
            assert set(answered) <= {200}
            return service.metric("roberta_queue_requests") + len(answered) == len(answers)

        until(all_have_arrived)
        service.process.send_signal(number)

        assert [answer.result().status_code for answer in answers] == [200] * len(answers)
        assert service.process.wait(30) == 0
    assert "Traceback" not in service.log()


def test_a_runner_that_hangs_does_not_keep_the_command_from_ending(tiny_models, tmp_path, pool):
    program = [sys.executable, "-c", HANGING]
    with command(tiny_models, tmp_path / "log", "--drain-timeout-s", "1", program=program) as service:
        unanswered = pool.submit(service.client.post, "/classify", json=BODY)
        until(lambda: service.metric("roberta_runner_busy_ratio") > 0)

        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(30) == 0
        assert_error(unanswered.result(), 503, "not_ready", "shutting down")


@FLAGS
def test_a_signal_to_reload_serves_a_new_version_and_refuses_a_broken_one(flags, tiny_models, tmp_path):
    models, source = tmp_path / "models", tiny_models / "tiny-classify" / "1"
    copy_bundle(source, models / "tiny-classify" / "1")
    with command(models, tmp_path / "log", *flags) as service:

        def served() -> str:
            return service.client.post("/classify", json=BODY).headers["x-model"]

        assert served() == "tiny-classify:1"
        copy_bundle(source, tmp_path / "tiny-classify" / "2").rename(models / "tiny-classify" / "2")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: served() == "tiny-classify:2")

        broken = copy_bundle(source, tmp_path / "tiny-classify" / "3")
        truncate_graph(broken)
        broken.rename(models / "tiny-classify" / "3")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: service.metric("roberta_model_load_failures_total", model="tiny-classify") == 1)
        assert served() == "tiny-classify:2"
        assert list(service.client.get("/models/tiny-classify").json()["refused"]) == ["3"]


@FLAGS
def test_a_second_interrupt_under_load_ends_the_command_at_once_and_without_an_abort(flags, tiny_models, tmp_path):
    with command(tiny_models, tmp_path / "log", "--drain-timeout-s", "60", *flags) as service:
        flood = [sys.executable, "-m", "tests.support.flood", str(service.client.base_url.port), "--seconds", "4"]
        with subprocess.Popen([*flood, "--text", "a warm film " * 200], stdout=subprocess.PIPE, cwd=REPOSITORY):
            until(lambda: service.metric("roberta_requests_total", code="200") > 8)
            service.process.send_signal(signal.SIGINT)
            until(lambda: "draining" in service.log())
            service.process.send_signal(signal.SIGINT)
            assert service.process.wait(10) == 130
    assert "forced_exit" in service.log()
    assert "terminate called" not in service.log()
    assert "Traceback" not in service.log()


@FLAGS
def test_a_port_that_is_taken_ends_the_command(flags, tiny_models, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match="the command ended with"):  # noqa: SIM117
            with command(tiny_models, tmp_path / "log", "--port", str(port), *flags):
                pass
    assert "address already in use" in (tmp_path / "log").read_text().lower()
