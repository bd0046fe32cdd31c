"""What a fault acts on: the service in several processes, Prometheus, and a folder of models that may be altered."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.chaos.processes import family_of, line_of
from tests.support.server import SeveralService, serve_several, until
from tests.watch.programs import Prometheus, Receiver, alertmanager, prometheus, receiver
from tests.watch.traffic import Burst, Traffic, bearer

KEY = "a-key-for-tests"
MODELS = ("tiny-classify", "tiny-ner", "tiny-fill-mask")
# One runner and little room, so that a few requests fill it.
SMALL = {"runners": 1, "max_queue_tokens": 512, "max_batch_tokens": 32, "max_connections": 48, "request_timeout_s": 30}


@dataclass
class Stage:
    """A running service and who watches it."""

    service: SeveralService
    prometheus: Prometheus
    told: Receiver
    models: Path

    # --- What is sent -----------------------------------------------------------------------------------------

    def traffic(self, *models: str, clients: int = 2, texts: int = 1, mistakes: bool = False) -> Traffic:
        return Traffic(self.service.url, KEY, models or MODELS, clients, texts=texts, mistakes=mistakes)

    def burst(self, model: str, count: int, timeout_ms: int | None = None) -> Burst:
        return Burst(self.service.url, KEY, f"/models/{model}", count, timeout_ms)

    @contextmanager
    def idle_connections(self, count: int) -> Iterator[None]:
        """Hold so many connections on which nothing is sent."""
        with ExitStack() as stack:
            for _ in range(count):
                with suppress(OSError):
                    stack.enter_context(socket.create_connection(self.address))
            yield

    # --- What is broken ---------------------------------------------------------------------------------------

    @contextmanager
    def broken(self, model: str, kind: str, value: str) -> Iterator[None]:
        """Break the forward passes of a model; see tests/support/hooks."""
        file = self.service.gates / (f"{model}.{kind}" if kind else model)
        file.write_text(value)
        try:
            yield
        finally:
            file.unlink()

    def reload(self) -> None:
        self.service.process.send_signal(signal.SIGHUP)

    def processes(self) -> list[int]:
        """Return the ids of the supervisor and of its processes."""
        return family_of(self.service.process.pid)

    @contextmanager
    def stopped(self, pids: Sequence[int]) -> Iterator[None]:
        """Freeze processes."""
        signal_all(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(pids, signal.SIGCONT)

    def kill_engine(self) -> None:
        """Kill the engine process, and return when there is another."""
        before = self.engines()
        signal_all(before, signal.SIGKILL)
        until(lambda: set(self.engines()) - set(before))

    def engines(self) -> list[int]:
        """Return the ids of the engine processes."""
        return [pid for pid in self.processes() if b"engine" in line_of(pid)]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.netloc.partition(":")
        return host, int(port)

    @property
    def netloc(self) -> str:
        return urlsplit(self.service.url).netloc


def signal_all(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def break_version(models: Path, name: str, of: str, version: int) -> Path:
    """Publish a version whose graphs are cut off; return its folder."""
    folder = models / name / str(version)
    shutil.copytree(models / of / "1", folder)
    for graph in folder.glob("*.onnx"):
        graph.write_bytes(graph.read_bytes()[:100])
    return folder


def publish_version(models: Path, name: str, version: int, *, rotated: bool = False) -> Path:
    """Publish the first version again under another number, with its labels in another order where they are rotated."""
    folder = models / name / str(version)
    shutil.copytree(models / name / "1", folder)
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    labels = content["labels"]
    content |= {"version": version, "labels": labels[1:] + labels[:1] if rotated else labels}
    manifest.write_text(json.dumps(content))
    return folder


@contextmanager
def staged(tiny_models: Path, folder: Path) -> Iterator[Stage]:
    """Start everything; one version is broken from the start."""
    models = folder / "models"
    folder.mkdir()
    shutil.copytree(tiny_models, models)
    break_version(models, MODELS[0], MODELS[0], 2)
    with ExitStack() as stack:
        told = stack.enter_context(receiver())
        alerts = stack.enter_context(alertmanager(folder, told))
        service = stack.enter_context(serve_several(models, folder / "service", api_keys=[KEY], **SMALL))
        service.client.headers.update(bearer(KEY))
        netloc = urlsplit(service.url).netloc
        looking = stack.enter_context(prometheus(folder, netloc, alerts, KEY))
        yield Stage(service, looking, told, models)
