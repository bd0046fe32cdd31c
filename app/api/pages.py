"""The routes. Predictions all read the same way: see `app.api.predictions`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from app.api.predictions import ModelEndpoint, Predictor, TaskEndpoint
from app.api.security import check_key
from app.api.status import Status
from app.tasks import TASKS


def prediction_endpoints(predictor: Predictor, default_route: str) -> dict[str, TaskEndpoint]:
    """Return what answers `POST /{task}` of every task and, for the default one, `POST /`."""
    endpoints = {f"/{task.route}": TaskEndpoint(predictor, task) for task in TASKS.values()}
    return {**endpoints, "/": endpoints[f"/{default_route}"]}


def prediction_routes(predictor: Predictor, endpoints: Mapping[str, TaskEndpoint]) -> list[Route]:
    """The routes of `endpoints`, and `POST /models/{name}`."""
    routes = [Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()]
    routes.append(Route("/models/{name}", ModelEndpoint(predictor), methods=["POST"]))
    return routes


def status_routes(status: Status, predictor: Predictor) -> APIRouter:
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
        return status.ready(route=None, draining=predictor.draining)

    @router.get("/info")
    async def info() -> dict[str, Any]:
        """The service's version, device and limits."""
        return status.info(route=None)

    @router.get("/models")
    async def models(request: Request) -> dict[str, Any]:
        """Every bundle: served, or refused and why."""
        check_key(dict(request.headers.raw), predictor.settings)
        return {"models": status.models()}

    @router.get("/models/{name}")
    async def model(name: str, request: Request) -> dict[str, Any]:
        """One bundle."""
        check_key(dict(request.headers.raw), predictor.settings)
        return status.model(name)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Prometheus or OpenMetrics text, as the scraper asks."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        status.refresh_gauges()
        text = await run_in_threadpool(encode, status.registry_of_metrics)
        return Response(text, media_type=content_type)

    for task in TASKS.values():
        add_task_status(router, status, predictor, task.route)
    return router


def add_task_status(router: APIRouter, status: Status, predictor: Predictor, route: str) -> None:
    """`GET /{task}/health` and `/{task}/info`, which Hugging Face clients ask of a task's own URL."""

    @router.get(f"/{route}/health", name=f"{route} health")
    async def health() -> Response:
        return status.ready(route=route, draining=predictor.draining)

    @router.get(f"/{route}/info", name=f"{route} info")
    async def info() -> dict[str, Any]:
        return status.info(route=route)
