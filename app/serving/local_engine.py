"""The engine of this process: its runners, the models that they run, and what is measured of both."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from app import __version__
from app.bundle import Bundle
from app.engine.admission import Limits
from app.engine.engine import Engine
from app.metrics import Metrics
from app.runtime.cuda.nvml import GpuReader
from app.runtime.session import Device, SessionError, available_devices
from app.serving.loading import Loader
from app.serving.orders import Order
from app.serving.registry import Registry
from app.settings import Settings

STOP_S = 2.0  # for running batches; by then their requests have been answered or given up

log = structlog.get_logger(__name__)


class LocalEngine:
    """An engine, the loader that fills its registry, and its gauges. `number` tells the engines of a machine apart.

    `keep` returns the bundle to open in place of one that was read; see `app.processes.tokenizers`. What an operator
    has ordered is kept in `choices_file` for a process that replaces this one. `table` says where the models are that
    were named at the start; see `app.serving.places`. Raises `SessionError` when CUDA is asked
    for and the installed onnxruntime has none.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        number: int = 0,
        keep: Callable[[Bundle], Bundle] | None = None,
        choices_file: Path | None = None,
        table: Path | None = None,
    ) -> None:
        self.device: Device = choose_device(settings)
        self.metrics, self._settings = metrics, settings
        runners = settings.runners_on(self.device)
        limits = Limits(
            max_queue_tokens=settings.max_queue_tokens,
            max_queue_age_s=settings.max_queue_age_ms / 1000,
            max_queue_delay_s=settings.max_queue_delay_ms / 1000,
            runners=runners,
            max_queue_s=settings.max_queue_s,
        )
        metrics.queue_capacity_tokens.set(settings.max_queue_tokens)
        self.engine = Engine(limits, metrics)
        self.registry = Registry(settings.models.name)
        self.loader = Loader(settings, self.device, self.engine, metrics, self.registry, keep, choices_file, table)
        self._gpus = GpuReader()
        self._number = number
        self._first_runner = number * runners  # in `roberta_runner_busy_ratio`, which counts on from engine to engine
        self._refreshing = threading.Lock()
        self._read_at = time.monotonic()
        self._busy_s = [0.0] * runners

    @property
    def exposed(self) -> CollectorRegistry:
        """What `/metrics` shows."""
        return self.metrics.registry

    async def start(self) -> None:
        """Start the runners."""
        self.engine.start()
        log.info("starting", version=__version__, device=self.device, runners=len(self.engine.runners))

    async def obey(self, order: Order) -> dict[str, Any]:
        """Do what an operator orders; see `Loader.obey`."""
        return await asyncio.to_thread(self.loader.obey, order)

    async def load(self) -> None:
        """Load the models folder; called again, its new versions."""
        await asyncio.to_thread(self.loader.load)

    async def stop(self, limit_s: float = STOP_S) -> None:
        """Load no more models, refuse what is queued, and give running batches `limit_s` to end."""
        self.loader.stop()
        await asyncio.to_thread(self.engine.stop, limit_s)

    def problem(self) -> str | None:
        """Return `stalled` when a runner makes no progress."""
        return "stalled" if self.engine.is_stalled(self._settings.stall_timeout_s) else None

    @property
    def is_answering(self) -> bool:
        """Whether answers wait for their turn of the event loop."""
        return self.engine.is_answering

    def refresh_gauges(self) -> None:
        """Set what is measured at scrape time: the queue, runners' share of busy time since the last scrape, GPUs.

        Any thread may call it.
        """
        with self._refreshing:
            self._refresh_gauges()

    def _refresh_gauges(self) -> None:
        self.engine.report_queue()
        self.metrics.engine_up.labels(self._number).set(self.problem() is None)
        now = time.monotonic()
        elapsed = max(now - self._read_at, 1e-3)
        for runner, before in zip(self.engine.runners, self._busy_s, strict=True):
            share = (runner.busy_seconds(now) - before) / elapsed
            label = self._first_runner + runner.number
            self.metrics.runner_busy_ratio.labels(label).set(min(max(share, 0.0), 1.0))
        self._read_at = now
        self._busy_s = [runner.busy_seconds(now) for runner in self.engine.runners]
        self._gpus.report(self.metrics)


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
