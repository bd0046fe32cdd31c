"""docker or podman, by their common command line."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

# As the compose file and the chart run it.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
TEMPORARY = ("--tmpfs=/tmp",)
GRACE_S = 45
READY_S = 180.0


@dataclass(frozen=True)
class Container:
    """A container that runs."""

    engine: Engine
    name: str

    def url(self, port: int) -> str:
        """Return where a port of the container is reached; it is its own where the network is that of the machine."""
        if self.engine.is_on_host:
            return f"http://127.0.0.1:{port}"
        address = self.engine.ask("port", self.name, str(port)).splitlines()[0]
        return f"http://127.0.0.1:{address.rpartition(':')[2]}"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.engine.call("exec", self.name, *words)

    def wait_until_ready(self, port: int = 8000) -> None:
        """Raises `AssertionError` with the end of the log where it does not become ready."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self.state("Running") == "true":
            try:
                if httpx.get(f"{self.url(port)}/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"it does not become ready:\n{self.log()[-2000:]}")

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and the seconds that the end took."""
        before = time.monotonic()
        self.engine.ask("stop", "--time", str(GRACE_S), self.name)
        return int(self.state("ExitCode")), time.monotonic() - before

    def state(self, key: str) -> str:
        return self.engine.ask("inspect", "--format", f"{{{{.State.{key}}}}}", self.name).strip()

    def log(self) -> str:
        done = self.engine.call("logs", self.name)
        return done.stdout + done.stderr


@dataclass(frozen=True)
class Engine:
    """A program that runs containers, and flags that this machine needs for each."""

    command: str
    flags: Sequence[str]

    @property
    def is_on_host(self) -> bool:
        return "--network=host" in self.flags

    def on_host(self) -> Engine:
        """Return the engine with the network of this machine, on which a container reaches loopback addresses."""
        return self if self.is_on_host else replace(self, flags=(*self.flags, "--network=host"))

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.command, *words], capture_output=True, text=True, timeout=600)

    def ask(self, *words: str) -> str:
        """Return what the program prints. Raises `AssertionError` with what it complains of."""
        done = self.call(*words)
        assert done.returncode == 0, f"{self.command} {' '.join(words)}: {done.stderr}"
        return done.stdout

    def config(self, image: str) -> dict[str, Any]:
        """Return what the image says of how it is run; podman keeps the health check beside the rest."""
        [about] = json.loads(self.ask("image", "inspect", image))
        return {"Healthcheck": about.get("Healthcheck"), **about["Config"]}

    def run(self, image: str, *words: str, options: Sequence[str] = TEMPORARY) -> subprocess.CompletedProcess[str]:
        """Run a command of the image to its end, hardened."""
        return self.call("run", "--rm", *self.flags, *HARDENED, *options, image, *words)

    @contextmanager
    def volume(self) -> Iterator[str]:
        """Make a volume, which takes over the user of the folder that it is mounted over."""
        name = f"image-check-{uuid.uuid4().hex[:8]}"
        self.ask("volume", "create", name)
        try:
            yield name
        finally:
            self.call("volume", "rm", "--force", name)

    @contextmanager
    def started(
        self, image: str, *words: str, options: Sequence[str] = TEMPORARY, ports: Sequence[int] = (8000, 8001)
    ) -> Iterator[Container]:
        """Start a container, hardened, and remove it in the end."""
        name = f"image-check-{uuid.uuid4().hex[:8]}"
        published = [] if self.is_on_host else [f"--publish=127.0.0.1::{port}" for port in ports]
        self.ask("run", "--detach", f"--name={name}", *self.flags, *HARDENED, *published, *options, image, *words)
        try:
            yield Container(self, name)
        finally:
            self.call("rm", "--force", name)
