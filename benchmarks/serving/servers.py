"""The servers under test: how each is started, asked, and stopped with everything that it started."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.bundle import Precision
from benchmarks.machine import processes
from benchmarks.serving.expected import Scores

START_TIMEOUT_S = 120.0  # importing torch on a busy machine takes its time
STOP_TIMEOUT_S = 10.0
LEAVE_TIMEOUT_S = 5.0  # for the children of a server that has ended

log = logging.getLogger("benchmarks")


class Api:
    """POST /classify as Hugging Face's clients speak it: {"inputs": text} -> [[{"label", "score"}, ...]]."""

    ready, classify = "/health/ready", "/classify"

    def body(self, text: str) -> dict[str, Any]:
        return {"inputs": text}

    def scores(self, answer: Any) -> Scores:
        """Return the score of each label of the one text that was asked."""
        (ranked,) = answer
        return {entry["label"]: entry["score"] for entry in ranked}


HUGGING_FACE = Api()


@dataclass(frozen=True, slots=True)
class Server:
    """A module that serves on the port that is added to its arguments, with one choice of settings."""

    name: str
    precision: Precision
    module: str
    arguments: tuple[str, ...]
    is_ours: bool = False
    settings: str = ""  # in words, where several are tried under one name
    depends_on_batch: bool = False  # dynamic int8: who shares the batch moves the scores
    python: Path = Path(sys.executable)
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    api: Api = HUGGING_FACE
    stop_signal: signal.Signals = signal.SIGTERM

    def __str__(self) -> str:
        return f"{self.name}, {self.settings}" if self.settings else self.name


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
            "FastAPI + transformers pipeline, torch fp32",
            "fp32",
            "benchmarks.peers.pipeline_server",
            (checkpoint, "--torch-threads", str(threads), "--at-once", str(at_once)),
            settings=f"{at_once} at once on {threads} threads each",
        )
        for threads, at_once in sorted(ways, reverse=True)
    ]


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    pid: int
    api: Api = HUGGING_FACE


@contextmanager
def running(server: Server, log_file: Path) -> Iterator[Running]:
    """Start a server on a free port, wait until it is ready, and stop it at the end.

    Raises `RuntimeError` with the end of its log when it does not get ready.
    """
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            [str(server.python), "-m", server.module, *server.arguments, "--port", str(port)],
            stdout=output,
            stderr=output,
            env={**os.environ, **server.environment},
            start_new_session=True,  # whatever it starts, and leaves behind, is known by its session
        )
    try:
        wait_until_ready(base + server.api.ready, process, log_file)
        yield Running(base + server.api.classify, process.pid, server.api)
    finally:
        stop(process, server.stop_signal)
        if left := end_session(process.pid):
            log.info("  %s left %d processes behind; they were killed", server, left)


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
    raise RuntimeError(f"{process.args!r} did not start:\n{log_file.read_text(errors='replace')[-2000:]}")


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """Ask a process to end, and kill it when it does not."""
    process.send_signal(stop_signal)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_session(leader: int, patience_s: float = LEAVE_TIMEOUT_S) -> int:
    """Wait for the session of a stopped server to end, kill what is left of it, and return how many that was."""
    deadline = time.monotonic() + patience_s
    while (left := session_of(leader)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        with suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.kill(pid, signal.SIGKILL)
    return len(left)


def session_of(leader: int) -> list[int]:
    return [process.pid for process in processes() if process.session == leader and process.state != "Z"]
