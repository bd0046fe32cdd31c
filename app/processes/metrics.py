"""The `process_*` series of the supervisor and all its processes together. Linux, as in `prometheus_client`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.process_collector import ProcessCollector

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LEAST = ("process_start_time_seconds", "process_max_fds")  # of the others, the sum


def process_families(supervisor: int) -> Iterable[Metric]:
    """Add up what the processes use. CPU seconds of those that have ended are the supervisor's, and never lost."""
    families: dict[str, Metric] = {}
    for pid in (supervisor, *children_of(supervisor)):
        for family in families_of(pid):
            known = families.setdefault(family.name, family)
            if known is not family:
                combine = min if family.samples[0].name in LEAST else sum
                value = combine((known.samples[0].value, family.samples[0].value))
                known.samples[0] = known.samples[0]._replace(value=value)
    if cpu := families.get("process_cpu_seconds"):
        cpu.samples[0] = cpu.samples[0]._replace(value=cpu.samples[0].value + ended_cpu_s(supervisor))
    return families.values()


def families_of(pid: int) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: pid, registry=None).collect()


def children_of(pid: int) -> list[int]:
    """Source: proc(5), /proc/PID/task/TID/children."""
    try:
        return [
            int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
        ]
    except OSError:  # one has just ended; its CPU seconds are about to be the supervisor's
        return []


def ended_cpu_s(pid: int) -> float:
    """Return the CPU seconds of children that have ended. Source: proc(5), /proc/PID/stat: cutime and cstime."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / TICKS_PER_S
