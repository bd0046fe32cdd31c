"""Which GPU this process has, and what NVIDIA's management library, where there is one, says of them all."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from app.metrics import Metrics


class GpuReader:
    """Reads every device when asked; does nothing where there is no driver or no `nvidia-ml-py`."""

    def __init__(self) -> None:
        self._nvml: Any = None
        with suppress(Exception):  # no module, no driver, no device: all mean that there is nothing to read
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml

    def report(self, metrics: Metrics) -> None:
        """Set the `roberta_gpu_*` series from the devices' state now."""
        for index in range(self._nvml.nvmlDeviceGetCount() if self._nvml else 0):
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
            metrics.gpu_memory_used.labels(index).set(memory.used)
            metrics.gpu_memory_total.labels(index).set(memory.total)
            metrics.gpu_utilization.labels(index).set(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
