"""Memory and utilization of every GPU of the machine, as NVIDIA's management library (NVML) numbers them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import structlog

from app.metrics import Metrics

log = structlog.get_logger(__name__)


class GpuReader:
    """Reads every device when asked; does nothing where there is no driver or no `nvidia-ml-py`."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._devices = 0
        self._unread: set[str] = set()
        with suppress(Exception):  # no module, no driver or no device: nothing to read
            import pynvml

            pynvml.nvmlInit()
            self._nvml, self._devices = pynvml, pynvml.nvmlDeviceGetCount()

    def report(self, metrics: Metrics) -> None:
        """Set the `roberta_gpu_*` series; a value that NVML does not report keeps its last reading.

        NVML reports no utilization of a GPU that is divided by MIG, and nothing of one that fell off the bus.
        """
        for index in range(self._devices):
            for read in (self._read_memory, self._read_utilization):
                try:
                    read(metrics, index)
                except Exception as error:  # whatever NVML raises, a scrape must not fail
                    self._warn(f"GPU {index}: {error}")

    def _read_memory(self, metrics: Metrics, index: int) -> None:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(self._nvml.nvmlDeviceGetHandleByIndex(index))
        metrics.gpu_memory_used.labels(index).set(memory.used)
        metrics.gpu_memory_total.labels(index).set(memory.total)

    def _read_utilization(self, metrics: Metrics, index: int) -> None:
        rates = self._nvml.nvmlDeviceGetUtilizationRates(self._nvml.nvmlDeviceGetHandleByIndex(index))
        metrics.gpu_utilization.labels(index).set(rates.gpu / 100)

    def _warn(self, reason: str) -> None:
        """Log a reason once."""
        if reason not in self._unread:
            self._unread.add(reason)
            log.warning("gpu_not_read", reason=reason)
