"""Builds the service in one process: HTTP, the engine and its models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app import __version__
from app.api.application import build_front
from app.metrics import Metrics
from app.serving.core import Core
from app.settings import Settings

STOP_S = 2.0  # for the batches in hand, whose requests have been answered or given up by then

log = structlog.get_logger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Build the service. Models load in the background once it starts; until then it answers 503.

    Raises `SessionError` when CUDA is asked for and the installed onnxruntime has none.
    """
    metrics = Metrics(CollectorRegistry())
    core = Core(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        core.engine.start()
        log.info("starting", version=__version__, device=core.device, runners=len(core.engine.runners))
        loading = asyncio.create_task(asyncio.to_thread(core.loader.load))
        yield
        await asyncio.to_thread(core.stop, STOP_S)
        await loading
        log.info("stopped")

    app = build_front(settings, core.registry, core, metrics, metrics.registry, lifespan)
    app.state.loader = core.loader
    return app
