"""The pages, which FastAPI serves: health, models, metrics, OpenAPI, and the one to try the models on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app import __version__
from app.api.errors import install_page_errors
from app.api.keys import Keyring
from app.api.openapi import install_openapi
from app.api.predictions import Predictions
from app.api.request import path_of
from app.api.status import Status
from app.service import Service
from app.tasks import TASKS

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_pages(service: Service, predictions: Predictions, lifespan: Lifespan, keys: Keyring) -> FastAPI:
    """Return the application of everything but the predictions."""
    pages = FastAPI(
        title="roberta-serve",
        version=__version__,
        description="RoBERTa classifiers, named entities and fill-mask, without padding.",
        lifespan=lifespan,
        # FastAPI's own would export the messages of exceptions, which may quote a text.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    install_page_errors(pages)
    pages.router.routes.append(OtherMethods(predictions))
    pages.include_router(status_routes(Status(service), keys))
    install_openapi(pages, service.settings.default_route)
    return pages


class OtherMethods(BaseRoute):
    """The predictions' paths as FastAPI's router sees them: whatever is not a `POST` is a 405, unless it is a page.

    The router also redirects a path with a slash too many to one of these.
    """

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_prediction = scope["type"] == "http" and self._predictions.endpoint(path_of(scope)) is not None
        return (Match.PARTIAL if is_prediction else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise HTTPException(405, headers={"Allow": "POST"})


def status_routes(status: Status, keys: Keyring) -> APIRouter:
    """Health, models, metrics and the page at `/`."""
    router = APIRouter(tags=["status"])
    page = (files("app.api") / "index.html").read_text(encoding="utf-8")

    @router.get("/", response_class=HTMLResponse)
    async def index() -> str:
        """A page to try the models on."""
        return page

    @router.get("/health/live")
    async def live() -> Response:
        """Whether the runners make progress: 503 when one is stuck in a forward pass."""
        return status.live()

    @router.get("/health/ready")
    @router.get("/health")
    async def ready() -> Response:
        """Whether requests are answered: 503 while loading, draining, or with no model."""
        return status.ready(route=None)

    @router.get("/info")
    async def info() -> dict[str, Any]:
        """The service's version, device and limits."""
        return status.info(route=None)

    @router.get("/models")
    async def models(request: Request) -> dict[str, Any]:
        """Every bundle, served, or refused and why; the model that answers each route; problems of the folder."""
        keys.check(dict(request.headers.raw), None)
        return status.models()

    @router.get("/models/{name}")
    async def model(name: str, request: Request) -> dict[str, Any]:
        """One bundle."""
        keys.check(dict(request.headers.raw), None)
        return status.model(name)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Prometheus or OpenMetrics text, as the scraper asks."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        status.refresh_gauges()
        text = await run_in_threadpool(encode, status.exposed)
        return Response(text, media_type=content_type)

    for task in TASKS.values():
        add_task_status(router, status, task.route)
    return router


def add_task_status(router: APIRouter, status: Status, route: str) -> None:
    """`GET /{task}/health` and `/{task}/info`, which Hugging Face clients ask of a task's own URL."""

    @router.get(f"/{route}/health", name=f"{route} health")
    async def health() -> Response:
        return status.ready(route=route)

    @router.get(f"/{route}/info", name=f"{route} info")
    async def info() -> dict[str, Any]:
        return status.info(route=route)
