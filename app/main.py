"""Builds the application: the only module that wires the layers together."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app import __version__
from app.api.handlers import ErrorHandlers
from app.api.openapi import install_openapi
from app.api.predict import Predictor
from app.api.request_id import RequestIdMiddleware
from app.api.routes import prediction_routes, status_routes
from app.api.status import Status
from app.engine.engine import Engine
from app.engine.scheduler import Limits
from app.metrics import Metrics
from app.registry import Registry
from app.runtime.session import Device, SessionError, available_devices
from app.settings import Settings

log = structlog.get_logger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Build the service. Models load in the background once it starts; until then it answers 503.

    Raises `SessionError` when CUDA is asked for and the installed onnxruntime has none.
    """
    device = choose_device(settings)
    runners = settings.runners_on(device)
    metrics = Metrics(CollectorRegistry())
    metrics.queue_capacity_tokens.set(settings.max_queue_tokens)
    limits = Limits(
        max_queue_tokens=settings.max_queue_tokens,
        max_queue_age_s=settings.max_queue_age_ms / 1000,
        max_queue_delay_s=settings.max_queue_delay_ms / 1000,
        runners=runners,
    )
    engine = Engine(limits, metrics)
    registry = Registry(settings, device, engine, metrics)
    predictor = Predictor(settings, registry, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        log.info("starting", version=__version__, device=device, runners=runners)
        loading = asyncio.create_task(asyncio.to_thread(load, registry))
        loading.add_done_callback(report_failure)
        yield
        await asyncio.to_thread(engine.stop, settings.drain_timeout_s)
        log.info("stopped")

    app = FastAPI(
        title="roberta-serve",
        version=__version__,
        description="RoBERTa classifiers, named entities and fill-mask, without padding.",
        lifespan=lifespan,
    )
    app.state.registry, app.state.predictor = registry, predictor
    app.add_middleware(RequestIdMiddleware)
    ErrorHandlers(metrics).install(app)
    app.router.routes += prediction_routes(predictor, settings.default_route)
    app.include_router(status_routes(Status(settings, device, registry, engine, metrics), predictor))
    install_openapi(app, settings.default_route)
    return app


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


def load(registry: Registry) -> None:
    """Load the bundles, then keep the garbage collector off what is there to stay.

    Walking it took 9 % of the CPU time of answering a request, forward pass aside.
    """
    registry.load()
    gc.collect()
    gc.freeze()


def report_failure(task: asyncio.Task[None]) -> None:
    """Log a defect in loading; refused bundles are no defect, and are reported by the registry."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("loading_failed", exc_info=error)
