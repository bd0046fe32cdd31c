"""The HTTP application, in front of models that run in this process or in others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app import __version__
from app.api.entry import EntryMiddleware
from app.api.errors import ErrorHandlers
from app.api.openapi import install_openapi
from app.api.pages import prediction_endpoints, prediction_routes, status_routes
from app.api.predictions import Predictor
from app.api.status import Backend, Status
from app.metrics import Metrics
from app.serving.registry import Registry
from app.settings import Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_front(
    settings: Settings,
    registry: Registry,
    backend: Backend,
    metrics: Metrics,
    exposed: CollectorRegistry,
    lifespan: Lifespan,
) -> FastAPI:
    """Build the application. `metrics` are counted by this process; `/metrics` shows `exposed`."""
    app = FastAPI(
        title="roberta-serve",
        version=__version__,
        description="RoBERTa classifiers, named entities and fill-mask, without padding.",
        lifespan=lifespan,
        # FastAPI's own would export the messages of exceptions, which may quote a text, and costs 5 % of a request.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    predictor = Predictor(settings, registry, metrics)
    app.state.registry, app.state.predictor = registry, predictor
    errors, endpoints = ErrorHandlers(metrics), prediction_endpoints(predictor, settings.default_route)
    errors.install(app)
    app.add_middleware(EntryMiddleware, endpoints=endpoints, answer=errors.answer)
    app.router.routes += prediction_routes(predictor, endpoints)
    app.include_router(status_routes(Status(settings, registry, backend, exposed), predictor))
    install_openapi(app, settings.default_route)
    return app
