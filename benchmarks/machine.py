"""What the measurements ran on, and who used its processors meanwhile. Linux only, like wrk."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from app.settings import available_cores

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
IDLE_S = 0.3  # long enough for a busy process on a busy machine to get a turn
IDLE_CPU = 0.2  # of a core in one process: a worker of LitServe that polls for requests takes 0.1
BUSY_S = 10.0  # longer than any server needs for 32 answers
VERSIONS_OF = ("onnxruntime", "torch", "transformers", "tokenizers", "fastapi", "uvicorn", "numpy")


class CpuSeconds(NamedTuple):
    """CPU seconds of the whole machine since it started: those in use, and all there were."""

    busy: float
    all: float

    def __sub__(self, earlier: CpuSeconds) -> CpuSeconds:
        return CpuSeconds(self.busy - earlier.busy, self.all - earlier.all)


def machine_cpu_s() -> CpuSeconds:
    """Source: proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, in ticks."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return CpuSeconds((sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_S, sum(ticks) / TICKS_PER_S)


class Process(NamedTuple):
    """One process: `cpu_s` is its own CPU time and that of the children that it has outlived."""

    pid: int
    state: str
    parent: int
    session: int
    cpu_s: float


def processes() -> Iterator[Process]:
    """List every process of the machine.

    Source: proc(5), /proc/PID/stat: fields 3, 4 and 6 are state, parent and session, 14 to 17 CPU times in ticks.
    """
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, *fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        cpu_s = sum(map(int, fields[10:14])) / TICKS_PER_S
        yield Process(int(path.parent.name), state, int(fields[0]), int(fields[2]), cpu_s)


def family_of(pid: int) -> list[Process]:
    """List a process and everything that it started, directly or not."""
    found = list(processes())
    family = {pid}
    while grown := {p.pid for p in found if p.parent in family} - family:
        family |= grown
    return [p for p in found if p.pid in family]


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of everything that it started."""
    return sum(process.cpu_s for process in family_of(pid))


def wait_until_idle(pid: int) -> None:
    """Wait until a process and its children do nothing: most servers go on computing answers nobody waits for.

    Gives up after `BUSY_S`.
    """
    deadline = time.monotonic() + BUSY_S
    while time.monotonic() < deadline:
        before = {process.pid: process.cpu_s for process in family_of(pid)}
        time.sleep(IDLE_S)
        spent = [process.cpu_s - before.get(process.pid, process.cpu_s) for process in family_of(pid)]
        if max(spent, default=0.0) <= IDLE_CPU * IDLE_S:
            return


def describe_machine() -> str:
    """One sentence: date, processor, versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS_OF)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {available_cores()} cores ({models[0] if models else platform.machine()}), "
        f"Python {platform.python_version()}, {versions}."
    )
