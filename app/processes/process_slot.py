"""A process that should run under the supervisor, and the one that does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

import structlog

from app.processes.pulse import Pulse
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
    working_since: float | None = None  # when that one was first seen at work, in seconds of `time.monotonic()`
    restarts: Restarts = field(default_factory=Restarts)

    @property
    def name(self) -> str:
        """No underscore: prometheus_client splits the names of metrics' files at it."""
        return f"{self.role}-{self.number}"

    @property
    def is_at_work(self) -> bool:
        """Whether the process does its work: a worker listens, an engine has loaded, and none is frozen."""
        is_there = self.process is not None and self.process.returncode is None
        return is_there and self.pulse is not None and self.pulse.is_at_work

    def order(self, order: str) -> None:
        if self.process is not None and self.process.stdin is not None and self.process.returncode is None:
            self.process.stdin.write(f"{order}\n".encode())

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def note_life(self, now: float) -> None:
        """Take note of a process that is at work."""
        if self.is_at_work:
            self.working_since = now if self.working_since is None else self.working_since
            self.restarts.note_life(now - self.working_since)

    def note_death(self, now: float) -> float:
        """Count a death, and return the seconds until the next start."""
        worked_s = 0.0 if self.working_since is None else now - self.working_since
        self.working_since = None
        return self.restarts.note_death(worked_s, now)

    def watch(self, elapsed_s: float) -> None:
        """Kill the process when it is frozen or stalled. `elapsed_s` is the time since the last look."""
        if self.process is None or self.pulse is None or self.process.returncode is not None:
            return
        self.pulse.pass_time(elapsed_s)
        if trouble := self.pulse.trouble(self.process.pid):
            silence_s = round(self.pulse.silence_s, 1)
            log.error("process_frozen", name=self.name, pid=self.process.pid, state=trouble, silence_s=silence_s)
            self.process.kill()
