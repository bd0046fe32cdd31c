"""Where the service listens: a Unix socket, and every address of either kind, alike in one process and in several."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.server import REPOSITORY, TIMEOUT_S, environment, until

WORKERS = [0, 2]


@contextmanager
def running(models: Path, log_file: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command; end it as an orchestrator does, and expect that it ends well."""
    line = [sys.executable, "-m", "app", "--models", str(models), "--device", "cpu", "--runners", "1", *flags]
    with log_file.open("wb") as log, subprocess.Popen(line, stderr=log, cwd=REPOSITORY, env=environment()) as process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()


def reaches(family: socket.AddressFamily, address) -> bool:
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


@pytest.mark.parametrize("workers", WORKERS)
def test_a_unix_socket_is_served_and_gone_afterwards(workers, tiny_models, tmp_path):
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX) as left_by_a_crash:
        left_by_a_crash.bind(str(path))
    flags = ("--uds", str(path), "--uds-mode", "660", "--http-workers", str(workers))
    with running(tiny_models, tmp_path / "log", *flags) as process:
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://service", timeout=TIMEOUT_S) as client:
            until(lambda: process.poll() is None and reaches(socket.AF_UNIX, str(path)))
            until(lambda: client.get("/health/ready").status_code == 200)
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            answers = [client.post("/classify", json={"inputs": "a film"}) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200] * 4
    assert not path.exists()


@pytest.mark.parametrize("workers", WORKERS)
def test_every_address_is_listened_on_in_either_shape(workers, tmp_path):
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", 9)) not in (0, 111):
            pytest.skip("this machine has no IPv6")
    log = tmp_path / "log"
    flags = ("--host", "::", "--port", "0", "--http-workers", str(workers))
    with running(tmp_path, log, *flags):
        port = int(until(lambda: re.search(r"http://\[::\]:(\d+)", log.read_text()))[1])
        until(lambda: reaches(socket.AF_INET6, ("::1", port)))
        until(lambda: reaches(socket.AF_INET, ("127.0.0.1", port)))
