"""What the service says of itself: health, models, gauges."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry

from app import __version__
from app.engine.engine import Engine
from app.errors import ModelNotFoundError, NotReadyError, ServeError
from app.gpu import GpuReader
from app.metrics import Metrics
from app.registry import Entry, Registry
from app.runtime.session import PROVIDERS, Device
from app.settings import Settings


class Status:
    """Reads the registry and the engine; changes nothing but gauges."""

    def __init__(
        self, settings: Settings, device: Device, registry: Registry, engine: Engine, metrics: Metrics
    ) -> None:
        self._settings, self._device = settings, device
        self._registry, self._engine, self._metrics = registry, engine, metrics
        self._gpus = GpuReader()
        self._scraped_at = time.monotonic()
        self._busy_s = [0.0] * len(engine.runners)

    @property
    def registry_of_metrics(self) -> CollectorRegistry:
        return self._metrics.registry

    def live(self) -> Response:
        if self._engine.is_stalled(self._settings.stall_timeout_s):
            return JSONResponse({"status": "stalled"}, 503)
        return JSONResponse({"status": "live"})

    def ready(self, *, route: str | None, draining: bool) -> Response:
        """Ready when some model is served, or, for a `route`, one of that task."""
        try:
            if draining:
                raise NotReadyError("the service is shutting down")
            self._registry.check_ready()
            if route is not None:
                self._registry.find(route, None)
        except ServeError as error:
            return JSONResponse({"status": "not ready", "reason": error.message}, 503)
        return JSONResponse({"status": "ready"})

    def info(self, *, route: str | None) -> dict[str, Any]:
        about: dict[str, Any] = {
            "service": "roberta-serve",
            "version": __version__,
            "device": self._device,
            "max_inputs": self._settings.max_inputs,
            "max_body_bytes": self._settings.max_body_bytes,
            "request_timeout_s": self._settings.request_timeout_s,
        }
        if route is not None:
            about["task"] = route
            about["model"] = self._registry.find(route, None).id
        return about

    def models(self) -> list[dict[str, Any]]:
        return [describe(entry) for entry in self._registry.entries]

    def model(self, name: str) -> dict[str, Any]:
        for entry in self._registry.entries:
            if entry.name == name.partition(":")[0]:
                return describe(entry)
        raise ModelNotFoundError(f"there is no model {name!r}; GET /models lists them")

    def refresh_gauges(self) -> None:
        """Set what is measured at scrape time: runners' share of busy time since the last scrape, and GPUs."""
        now = time.monotonic()
        elapsed = max(now - self._scraped_at, 1e-3)
        for runner, before in zip(self._engine.runners, self._busy_s, strict=True):
            share = (runner.busy_seconds(now) - before) / elapsed
            self._metrics.runner_busy_ratio.labels(runner.number).set(min(max(share, 0.0), 1.0))
        self._scraped_at = now
        self._busy_s = [runner.busy_seconds(now) for runner in self._engine.runners]
        self._gpus.report(self._metrics)


def describe(entry: Entry) -> dict[str, Any]:
    """Render one name under `models/` for `GET /models`."""
    about: dict[str, Any] = {"name": entry.name, "state": entry.state}
    if entry.model is not None:
        manifest, session = entry.model.bundle.manifest, entry.model.session
        graph = manifest.graphs[session.precision]
        about |= {
            "version": manifest.version,
            "task": manifest.task,
            "route": f"/{entry.model.task.route}",
            "labels": manifest.labels,
            "layout": manifest.layout,
            "precision": session.precision,
            "provider": PROVIDERS[session.device],
            "max_length": manifest.max_length,
            "max_batch_tokens": entry.model.lane.max_batch_tokens,
            "verified": entry.model.bundle.verified,
            "temperature": graph.temperature,
            "thresholds": graph.thresholds,
            "quantisation": graph.quantisation,
            "metrics": graph.metrics,
            "provenance": manifest.provenance,
        }
    if entry.refused:
        about["refused"] = {str(version): reason for version, reason in entry.refused.items()}
    return about
