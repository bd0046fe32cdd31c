"""The servers under test: how each is started, asked whether it is ready, and stopped."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.bundle import Precision

START_TIMEOUT_S = 120.0  # importing torch on a busy machine takes its time
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A command that serves POST /classify and GET /health/ready on the port that is added to it."""

    name: str
    precision: Precision
    module: str
    arguments: tuple[str, ...]
    is_ours: bool = False

    def __str__(self) -> str:
        return self.name


def our_servers(models: dict[Precision, Path]) -> list[Server]:
    """Our service with its default settings, one for each precision."""
    return [
        Server(f"roberta-serve, {precision}", precision, "app", ("--models", str(folder), "--host", "127.0.0.1"), True)
        for precision, folder in models.items()
    ]


def pipeline_servers(checkpoint: str, cores: int) -> list[Server]:
    """The pipeline with every way to share out the cores that did best somewhere; the best of them counts."""
    ways = {(cores, 1), (cores, cores), (1, cores)}  # threads of a forward pass, forward passes at once
    return [
        Server(
            f"FastAPI + transformers pipeline, torch fp32, {at_once} at once on {threads} threads each",
            "fp32",
            "benchmarks.pipeline_server",
            (checkpoint, "--torch-threads", str(threads), "--at-once", str(at_once)),
        )
        for threads, at_once in sorted(ways, reverse=True)
    ]


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    pid: int


@contextmanager
def running(server: Server, log_file: Path) -> Iterator[Running]:
    """Start a server on a free port, wait until it is ready, and stop it at the end.

    Raises `RuntimeError` with the end of its log when it does not get ready.
    """
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with log_file.open("wb") as log:
        command = [sys.executable, "-m", server.module, *server.arguments, "--port", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_ready(f"{base}/health/ready", process, log_file)
        yield Running(f"{base}/classify", process.pid)
    finally:
        stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:  # not listening yet, or 503 while it loads
            time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} did not start:\n{log_file.read_text()[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
