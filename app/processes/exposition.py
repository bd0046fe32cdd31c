"""/metrics of all processes at once: the sum of what each has counted, under the names of a single process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.registry import Collector

from app.metrics import Metrics
from app.processes.engine_pool import Fleet
from app.processes.metrics import process_families
from app.serving.registry import Registry


class AllProcesses(Collector):
    """Every family that `metrics` has, with the samples that all processes left in `folder`."""

    def __init__(self, metrics: Metrics, registry: Registry, fleet: Fleet, folder: Path) -> None:
        self._metrics, self._registry, self._fleet, self._folder = metrics, registry, fleet, folder

    def collect(self) -> Iterator[Metric]:
        self._fleet.wait_for_gauges()
        collected = MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call]
        found = {family.name: family for family in (*collected, *self._models())}
        for own in self._metrics.registry.collect():
            if own.name.startswith("roberta_"):
                yield found.get(own.name) or Metric(own.name, own.documentation, own.type)
        yield from PlatformCollector(registry=None).collect()
        yield from process_families(os.getppid())

    def _models(self) -> tuple[Metric, Metric]:
        """The series of models come from the table: the files would keep those of models that are gone."""
        info = Metric("roberta_model_info", "What is being served; always 1.", "gauge")
        loaded = Metric("roberta_model_loaded", "Whether a version of the model is served.", "gauge")
        for entry in self._registry.entries:
            loaded.add_sample(loaded.name, {"model": entry.name}, float(entry.model is not None))
            if entry.model is not None:
                info.add_sample(info.name, entry.model.info_labels, 1.0)
        return info, loaded
