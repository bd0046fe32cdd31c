"""Instances behind a real proxy are replaced one after the other, under load, and no request fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.support.nginx import free_port, is_installed, nginx
from tests.support.server import REPOSITORY, ProcessService, command, until

CONNECTIONS, SECONDS = 16, 100
SEVERAL = ("--http-workers", "2")


@pytest.mark.skipif(not is_installed(), reason="nginx is not installed")
def test_a_rolling_restart_behind_nginx_fails_no_request(tiny_models, tmp_path):
    """One instance of each shape, and each is replaced by one of the other shape."""
    ports = [free_port(), free_port()]

    def instance(number: int, name: str, *flags: str):
        return command(tiny_models, tmp_path / name, "--port", str(ports[number]), "--admin-port", "0", *flags)

    with (
        nginx(tmp_path / "nginx", ports) as port,
        instance(0, "a") as a,
        instance(1, "b", *SEVERAL) as b,
        flooded(port) as flood,
    ):
        until(lambda: answered(a) > 50 and answered(b) > 50)
        stop(a)
        with instance(0, "c", *SEVERAL) as c:
            until(lambda: answered(c) > 50)
            stop(b)
            with instance(1, "d") as d:
                until(lambda: answered(d) > 50)
                flood.send_signal(signal.SIGINT)
                assert flood.stdout is not None
                answers = json.loads(flood.stdout.read())
    assert answers.keys() == {"200"}, answers
    assert answers["200"] > 500


def flooded(port: int) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "tests.support.flood", str(port)]
    line += ["--connections", str(CONNECTIONS), "--seconds", str(SECONDS), "--pause-ms", "5"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, cwd=REPOSITORY)


def answered(service: ProcessService) -> float:
    return service.metric("roberta_requests_total", code="200")


def stop(service: ProcessService) -> None:
    service.client.close()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
