"""What the measurements ran on, and who used its processors meanwhile. Linux only, like wrk."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from app.settings import available_cores

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
IDLE_S = 0.3  # long enough for a busy process on a busy machine to get a turn
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


def process_cpu_s(pid: int) -> float:
    """Source: proc(5), /proc/PID/stat: fields 14 and 15 are user and system time in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def wait_until_idle(pid: int) -> None:
    """Wait until a process does nothing: most servers go on computing answers that nobody waits for any more."""
    while True:
        before = process_cpu_s(pid)
        time.sleep(IDLE_S)
        if process_cpu_s(pid) - before <= 1 / TICKS_PER_S:
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
