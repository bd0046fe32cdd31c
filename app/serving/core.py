"""What runs the models: the engine and the loader of one process, whether HTTP is in the same process or in others."""

from __future__ import annotations

import time

from app.engine.engine import Engine
from app.engine.scheduler import Limits
from app.metrics import Metrics
from app.runtime.cuda.nvml import GpuReader
from app.runtime.session import Device, SessionError, available_devices
from app.serving.loading import Loader
from app.serving.registry import Registry
from app.settings import Settings


class Core:
    """The engine, the models that it runs, and what is measured of both. Several cores share a machine's GPUs.

    Raises `SessionError` when CUDA is asked for and the installed onnxruntime has none.
    """

    def __init__(self, settings: Settings, metrics: Metrics, number: int = 0) -> None:
        self.device = choose_device(settings)
        self._settings, self._metrics = settings, metrics
        runners = settings.runners_on(self.device)
        limits = Limits(
            max_queue_tokens=settings.max_queue_tokens,
            max_queue_age_s=settings.max_queue_age_ms / 1000,
            max_queue_delay_s=settings.max_queue_delay_ms / 1000,
            runners=runners,
        )
        metrics.queue_capacity_tokens.set(settings.max_queue_tokens)
        self.engine = Engine(limits, metrics)
        self.registry = Registry(settings.models.name)
        self.loader = Loader(settings, self.device, self.engine, metrics, self.registry)
        self._gpus = GpuReader()
        self._first_runner = number * runners  # runners of all cores are numbered through
        self._read_at = time.monotonic()
        self._busy_s = [0.0] * runners

    def stop(self, limit_s: float) -> None:
        """Load no more models, refuse what is queued, and give the batches in hand `limit_s` to end."""
        self.loader.stop()
        self.engine.stop(limit_s)

    def problem(self) -> str | None:
        """Return `stalled` when a runner makes no progress."""
        return "stalled" if self.engine.is_stalled(self._settings.stall_timeout_s) else None

    def refresh_gauges(self) -> None:
        """Set what is measured at scrape time: the queue, runners' share of busy time since the last scrape, GPUs."""
        self.engine.report_queue()
        now = time.monotonic()
        elapsed = max(now - self._read_at, 1e-3)
        for runner, before in zip(self.engine.runners, self._busy_s, strict=True):
            share = (runner.busy_seconds(now) - before) / elapsed
            label = self._first_runner + runner.number
            self._metrics.runner_busy_ratio.labels(label).set(min(max(share, 0.0), 1.0))
        self._read_at = now
        self._busy_s = [runner.busy_seconds(now) for runner in self.engine.runners]
        self._gpus.report(self._metrics)


def choose_device(settings: Settings) -> Device:
    """Return the device to run on. CUDA that was asked for and is not there is an error, not a fallback."""
    devices = available_devices()
    if settings.device == "auto":
        return devices[0]
    if settings.device not in devices:
        raise SessionError(
            f"device {settings.device} was asked for, but the installed onnxruntime has only {', '.join(devices)}; "
            "install the extra 'gpu', or start with --device cpu"
        )
    return settings.device
