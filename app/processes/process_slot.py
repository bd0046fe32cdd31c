"""A process that should run under the supervisor, and the one that does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

import structlog

from app.processes.pulse import Pulse

log = structlog.get_logger(__name__)


@dataclass
class ProcessSlot:
    """A process that should run, and the one that runs in its place, if any."""

    role: Literal["engine", "worker", "admin"]
    number: int
    port: int  # to listen on; an engine has none
    process: asyncio.subprocess.Process | None = None
    pulse: Pulse | None = None
    deaths: int = 0  # in a row

    @property
    def name(self) -> str:
        """No underscore: prometheus_client splits the names of metrics' files at it."""
        return f"{self.role}-{self.number}"

    def order(self, order: str) -> None:
        if self.process is not None and self.process.stdin is not None and self.process.returncode is None:
            self.process.stdin.write(f"{order}\n".encode())

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def watch(self, elapsed_s: float) -> None:
        """Kill the process when it is frozen or stalled. `elapsed_s` is the time since the last look."""
        if self.process is None or self.pulse is None or self.process.returncode is not None:
            return
        self.pulse.pass_time(elapsed_s)
        if trouble := self.pulse.trouble(self.process.pid):
            silence_s = round(self.pulse.silence_s, 1)
            log.error("process_frozen", name=self.name, pid=self.process.pid, state=trouble, silence_s=silence_s)
            self.process.kill()
