"""The real service for live tests: in a thread of this process, or as the command, in one process or in several."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.api.application import Application
from app.api.server import Server
from app.engine.work import Forward, Lane
from app.main import create_app
from app.processes.metrics import children_of
from app.settings import Settings
from app.window import Floats, Window

TIMEOUT_S = 180.0  # of what takes moments, on a machine that is busy with something else
ANSWER_S = 600.0  # a long text on a machine that is busy with something else
REPOSITORY = Path(__file__).parents[2]

AnswerT = TypeVar("AnswerT")


def until(condition: Callable[[], AnswerT], within_s: float = TIMEOUT_S) -> AnswerT:
    """Ask until the answer is true, and return it: for what another thread or process is about to do."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still not so after {within_s:.0f} s"
        time.sleep(0.01)
    return answer


@dataclass(frozen=True)
class Service:
    """A running service and a client of it."""

    url: str
    client: httpx.Client

    def is_ready(self) -> bool:
        return self.client.get("/health/ready").status_code == 200

    def runners(self) -> int:
        return self.client.get("/metrics").text.count("roberta_runner_busy_ratio{")

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a sample over the label sets that include `labels`; zero where there is none."""
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


# --- In a thread ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ThreadService(Service):
    """A service whose app can be reached into."""

    app: Application

    def model(self, name: str) -> Any:
        return next(entry.model for entry in self.app.service.registry.entries if entry.name == name)

    def lane(self, name: str) -> Lane:
        return self.model(name).lane


@contextmanager
def serve(
    models: Path, *, wait: bool = True, prepare: Callable[[Application], None] = lambda _: None, **settings: Any
) -> Iterator[ThreadService]:
    """Serve `models` on a free loopback port; `prepare` sees the app before it starts.

    Waits until every bundle is loaded or refused, unless told not to.
    """
    app = create_app(Settings(models=models, **{"request_timeout_s": ANSWER_S, **settings}))
    prepare(app)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server")
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=ANSWER_S) as client:
            if wait:
                until(lambda: app.service.registry.entries)
            yield ThreadService(url, client, app)
    finally:
        server.should_exit = True
        thread.join()


class Gate:
    """A forward pass that holds every batch until it is opened."""

    def __init__(self, run: Forward) -> None:
        self.run = run
        self.entered, self.opened = threading.Semaphore(0), threading.Event()

    def __call__(self, windows: Sequence[Window], *, runner: int, idle_machine: bool) -> Sequence[Floats]:
        self.entered.release()
        assert self.opened.wait(TIMEOUT_S)
        return self.run(windows, runner=runner, idle_machine=idle_machine)

    def wait_for_batch(self) -> None:
        """Return when one more batch is held."""
        assert self.entered.acquire(timeout=TIMEOUT_S)


@contextmanager
def held(service: ThreadService | SeveralService, name: str) -> Iterator[Gate | FileGate]:
    """Hold the batches of a model until the gate is opened, or the block is left."""
    if isinstance(service, SeveralService):
        with FileGate(service.gates, name) as gate:
            yield gate
        return
    lane = service.lane(name)
    with replaced(lane, "run", Gate(lane.run)) as gate:
        try:
            yield gate
        finally:
            gate.opened.set()


@contextmanager
def replaced(target: object, name: str, value: AnswerT) -> Iterator[AnswerT]:
    """Set an attribute for the length of a block."""
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield value
    finally:
        setattr(target, name, before)


# --- As a process -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProcessService(Service):
    """A service that was started by its command."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")


@contextmanager
def command(
    models: Path,
    log_file: Path,
    *flags: str,
    program: Sequence[str] = (sys.executable, "-m", "app"),
    variables: Mapping[str, str] | None = None,
    verify: ssl.SSLContext | bool = True,
) -> Iterator[ProcessService]:
    """Run the command on a free loopback port until it is ready, its standard error in `log_file`.

    `verify` is the client's side of TLS.
    """
    line = [*program, "--models", str(models), "--host", "127.0.0.1", "--port", "0", *flags]
    env = environment() | dict(variables or {})
    with log_file.open("wb") as log, subprocess.Popen(line, stderr=log, cwd=REPOSITORY, env=env) as process:
        try:
            url = until(lambda: announced_url(process, log_file))
            with httpx.Client(base_url=url, timeout=ANSWER_S, verify=verify) as client:
                service = ProcessService(url, client, process, log_file)
                until(service.is_ready)
                yield service
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def environment() -> dict[str, str]:
    """Return this process's environment without settings of the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ROBERTA_")}


def announced_url(process: subprocess.Popen[bytes], log_file: Path) -> str | None:
    """Return the address that the log says it listens on, once it does."""
    log = log_file.read_text(encoding="utf-8")
    assert process.poll() is None, f"the command ended with {process.returncode}: {log}"
    found = re.search(r"https?://127\.0\.0\.1:\d+", log)
    return found and found[0]


# --- As several processes -----------------------------------------------------------------------------------

SHAPES = ("one process", "several processes")
HOOKS = Path(__file__).with_name("hooks")
WORKERS = 2


@dataclass(frozen=True)
class SeveralService(ProcessService):
    """A service of several processes, whose engine holds batches while there are files in `gates`."""

    gates: Path

    def processes(self, role: str) -> list[int]:
        """Return the process ids of the workers, or of the engine."""
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children_of(self.process.pid)}
        return [pid for pid, line in lines.items() if role.encode() in line]

    def folder_of_sockets(self) -> Path:
        """Return the private folder of the processes."""
        (engine,) = self.processes("engine")
        variables = Path(f"/proc/{engine}/environ").read_bytes().decode().split("\0")
        (folder,) = [v.partition("=")[2] for v in variables if v.startswith("PROMETHEUS_MULTIPROC_DIR=")]
        return Path(folder)

    def workers_serving(self) -> int:
        """Return how often a worker has begun to serve what the engine has loaded."""
        return self.log().count('"models_served"')


class FileGate:
    """What `Gate` is for a service in this process: see `tests/support/hooks/sitecustomize.py`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.opened = self
        self._hold, self._entered = folder / name, folder / f"{name}.entered"
        self._seen = 0

    def __enter__(self) -> FileGate:
        self._entered.write_text("")
        self._hold.touch()
        return self

    def __exit__(self, *_: object) -> None:
        self.set()

    def set(self) -> None:
        self._hold.unlink(missing_ok=True)

    def wait_for_batch(self) -> None:
        """Return when one more batch is held."""
        self._seen += 1
        until(lambda: len(self._entered.read_text()) >= self._seen)


@contextmanager
def serve_several(models: Path, folder: Path, **settings: Any) -> Iterator[SeveralService]:
    """Serve `models` from two workers and an engine; `folder` takes the log and the gates. Waits for both workers."""
    gates = folder / "gates"
    gates.mkdir(parents=True)
    settings = {"request_timeout_s": ANSWER_S, "http_workers": WORKERS, **settings}
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    variables = {f"ROBERTA_{name.upper()}": value for name, value in values.items()}
    variables |= {"PYTHONPATH": f"{HOOKS}:{REPOSITORY}", "GATES": str(gates)}
    with command(models, folder / "log", variables=variables) as running:
        service = SeveralService(running.url, running.client, running.process, running.log_file, gates)
        until(lambda: service.workers_serving() >= settings["http_workers"])
        yield service


@contextmanager
def serve_as(shape: str, models: Path, folder: Path, **settings: Any) -> Iterator[ThreadService | SeveralService]:
    """Serve in one of the two `SHAPES`."""
    server = serve(models, **settings) if shape == SHAPES[0] else serve_several(models, folder, **settings)
    with server as service:
        yield service
