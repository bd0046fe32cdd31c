"""`/metrics` of all processes at once: the sum of what each has counted, under the names of a single process.

The `process_*` series need Linux, as in `prometheus_client`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.processes.engine_pool import EnginePool
from app.processes.exemplars import read_exemplars, show

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LEAST = ("process_start_time_seconds", "process_max_fds")  # the least of all processes; of other series the sum


class MergedMetrics(Collector):
    """Every family that a single process has, with the samples that all processes left in `folder`."""

    def __init__(self, pool: EnginePool, folder: Path) -> None:
        self._pool, self._folder = pool, folder

    def collect(self) -> Iterator[Metric]:
        self._pool.wait_for_gauges()
        collected = MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call]
        exemplars = read_exemplars(self._folder)
        found = {family.name: family for family in (*collected, *self._models(), self._engines())}
        for own in self._pool.metrics.registry.collect():
            if own.name.startswith("roberta_"):
                family = found.get(own.name) or Metric(own.name, own.documentation, own.type)
                if exemplars and family.type == "histogram":
                    show(family, exemplars)
                yield family
        yield from PlatformCollector(registry=None).collect()
        yield from process_families(os.getppid())

    def _engines(self) -> Metric:
        """Return whether engines are up, as this process sees it: in the files a frozen one stays as it last was."""
        (up,) = self._pool.metrics.engine_up.collect()
        up = Metric(up.name, up.documentation, up.type)
        for number, is_up in enumerate(self._pool.engines_up()):
            up.add_sample(up.name, {"engine": str(number)}, float(is_up))
        return up

    def _models(self) -> tuple[Metric, ...]:
        """Return the series of models, from the registry: the files would keep those of models that are gone."""
        info = Metric("roberta_model_info", "What is being served; always 1.", "gauge")
        loaded = Metric("roberta_model_loaded", "Whether a version of the model is served.", "gauge")
        refused = Metric("roberta_model_versions_refused", "Versions that the last load refused.", "gauge")
        for entry in self._pool.registry.entries:
            if not entry.is_unloaded:
                loaded.add_sample(loaded.name, {"model": entry.name}, float(entry.model is not None))
            refused.add_sample(refused.name, {"model": entry.name}, float(len(entry.refused)))
            if entry.model is not None:
                info.add_sample(info.name, entry.model.info_labels, 1.0)
        return info, loaded, refused


def process_families(supervisor: int) -> Iterable[Metric]:
    """Add up what the supervisor and its processes use, with the CPU seconds of processes that have ended."""
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
    """Return the ids of a process's children. Source: proc(5), /proc/PID/task/TID/children."""
    try:
        return [
            int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
        ]
    except OSError:  # a process has just ended; its CPU seconds will be among those of the supervisor's children
        return []


def ended_cpu_s(pid: int) -> float:
    """Return the CPU seconds of children that have ended. Source: proc(5), /proc/PID/stat: cutime and cstime."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / TICKS_PER_S
