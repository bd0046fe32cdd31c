"""A process that should run under the supervisor, and the one that does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

import structlog

from app.processes.pulse import STOPPED_S, Pulse
from app.processes.restarts import Restarts

log = structlog.get_logger(__name__)


@dataclass
class ProcessSlot:
    """A process that should run, and the one that runs in its place, if any."""

    role: Literal["engine", "worker", "admin"]
    number: int
    port: int  # to listen on; an engine has none
    process: asyncio.subprocess.Process | None = None
    pulse: Pulse | None = None
    started: float = 0.0  # when that one was, in seconds of `time.monotonic()`
    restarts: Restarts = field(default_factory=Restarts)

    @property
    def name(self) -> str:
        """No underscore: prometheus_client splits the names of metrics' files at it."""
        return f"{self.role}-{self.number}"

    @property
    def is_heard(self) -> bool:
        """Whether the process has begun its work and is not frozen."""
        is_there = self.process is not None and self.process.returncode is None
        return is_there and self.pulse is not None and self.pulse.is_heard and self.pulse.silence_s < STOPPED_S

    def order(self, order: str) -> None:
        if self.process is not None and self.process.stdin is not None and self.process.returncode is None:
            self.process.stdin.write(f"{order}\n".encode())

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def note_life(self, now: float) -> None:
        """Take note of a process that lives."""
        if self.is_heard:
            self.restarts.note_life(self.started, now)

    def watch(self, elapsed_s: float) -> None:
        """Kill the process when it is frozen or stalled. `elapsed_s` is the time since the last look."""
        if self.process is None or self.pulse is None or self.process.returncode is not None:
            return
        self.pulse.pass_time(elapsed_s)
        if trouble := self.pulse.trouble(self.process.pid):
            silence_s = round(self.pulse.silence_s, 1)
            log.error("process_frozen", name=self.name, pid=self.process.pid, state=trouble, silence_s=silence_s)
            self.process.kill()
