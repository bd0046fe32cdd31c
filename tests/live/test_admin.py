"""The admin port: pages that answer however busy the service is, and what they say while it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest

from app.processes.metrics import children_of
from tests.chaos.processes import line_of
from tests.support.answers import ask
from tests.support.server import REPOSITORY, SHAPES, ProcessService, command, until

FLAGS = pytest.mark.parametrize("flags", [(), ("--http-workers", "2")], ids=SHAPES)
PAGES = ["/health/live", "/health/ready", "/metrics"]
CONNECTIONS = 400
LONGEST_S = (
    5.0  # of a page, on a machine that is busy with something else, too; at the service's own port it was minutes
)
SIX_WINDOWS = "a warm film " * 60  # of 32 tokens each


def admin_of(service: ProcessService) -> httpx.Client:
    """Return a client of the admin port, which the log names."""
    [at] = until(lambda: re.findall(r'"at": ?"([0-9.:]+)"', service.log()))
    return httpx.Client(base_url=f"http://{at}", timeout=30)


@FLAGS
def test_the_admin_port_has_the_pages_and_not_the_predictions(flags, tiny_models, tmp_path):
    delay = ("--admin-port", "0", "--shutdown-delay-s", "3")
    with command(tiny_models, tmp_path / "log", *delay, *flags) as service, admin_of(service) as admin:
        until(lambda: admin.get("/health/ready").status_code == 200)
        assert {admin.get(path).status_code for path in (*PAGES, "/info", "/docs", "/openapi.json")} == {200}
        ask(service)
        assert (
            'roberta_requests_total{code="200",model="tiny-classify",task="classify"} 1.0' in admin.get("/metrics").text
        )
        assert admin.get("/models").json() == service.client.get("/models").json()
        assert "/classify" not in admin.get("/openapi.json").json()["paths"]
        assert admin.post("/classify", json={"inputs": "a"}).status_code == 404
        assert admin.get("/").status_code == 404

        service.process.send_signal(signal.SIGTERM)  # not ready, and still answering
        until(lambda: admin.get("/health/ready").status_code == 503)
        assert service.client.get("/health/ready").status_code == 503
        assert "shutting down" in admin.get("/health/ready").json()["reason"]
        assert ask(service).status_code == 200
        assert admin.get("/health/live").status_code == 200

        service.process.send_signal(signal.SIGTERM)  # the delay is over
        assert service.process.wait(30) == 0
    assert "Traceback" not in service.log()


@FLAGS
def test_pages_answer_at_once_in_an_overload(flags, tiny_models, tmp_path):
    settings = ("--admin-port", "0", "--runners", "1")
    with command(tiny_models, tmp_path / "log", *settings, *flags) as service, admin_of(service) as admin:
        until(lambda: admin.get("/health/ready").status_code == 200)
        flood = [sys.executable, "-m", "tests.support.flood", str(service.client.base_url.port)]
        flood += ["--connections", str(CONNECTIONS), "--seconds", "4", "--text", SIX_WINDOWS]
        with subprocess.Popen(flood, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
            until(lambda: opened(admin) > CONNECTIONS / 2)
            took: dict[str, list[float]] = {path: [] for path in PAGES}
            while process.poll() is None:
                for path in PAGES:
                    began = time.monotonic()
                    assert admin.get(path).status_code == 200
                    took[path].append(time.monotonic() - began)
            assert process.stdout is not None
            answers = json.loads(process.stdout.read())
    assert answers.get("failed", 0) == 0, answers
    assert sum(answers.values()) > 0
    assert max(max(times) for times in took.values()) < LONGEST_S, took
    assert len(took[PAGES[0]]) >= 3


def opened(admin: httpx.Client) -> float:
    return float(re.findall(r"^roberta_connections (\S+)$", admin.get("/metrics").text, re.MULTILINE)[0])


@FLAGS
def test_an_admin_port_that_is_taken_ends_the_command(flags, tiny_models, tmp_path):
    with httpx.Client(), command(tiny_models, tmp_path / "first") as service:
        port = str(service.client.base_url.port)
        with pytest.raises(AssertionError, match="the command ended with"):  # noqa: SIM117
            with command(tiny_models, tmp_path / "log", "--admin-port", port, *flags):
                pass
    assert f"cannot listen on 127.0.0.1:{port}" in (tmp_path / "log").read_text()


def test_without_a_worker_the_admin_port_is_live_and_not_ready(tiny_models, tmp_path):
    """Its own process is well, and connections to the service's port would be refused."""
    flags = ("--admin-port", "0", "--http-workers", "1")
    with command(tiny_models, tmp_path / "log", *flags) as service, admin_of(service) as admin:
        until(lambda: admin.get("/health/ready").status_code == 200)
        [worker] = [pid for pid in children_of(service.process.pid) if b"worker" in line_of(pid)]
        os.kill(worker, signal.SIGKILL)
        until(lambda: "no process that takes requests" in admin.get("/health/ready").text)
        assert admin.get("/health/live").status_code == 200
        until(lambda: admin.get("/health/ready").status_code == 200)
        assert ask(service).status_code == 200
