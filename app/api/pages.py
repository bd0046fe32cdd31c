"""The pages, which FastAPI serves: health, models, metrics, OpenAPI, and the one to try the models on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app import __version__
from app.api.access import Access
from app.api.around import FORWARDED_HOST
from app.api.browser import ASSETS, asset, docs_page, index_page, redoc_page
from app.api.errors import install_page_errors
from app.api.keys import Keyring
from app.api.log_levels import add_log_levels
from app.api.openapi import install_openapi
from app.api.orders import add_orders
from app.api.predictions import Predictions
from app.api.protocols.pages import add_protocol_pages
from app.api.request import path_of, tidy
from app.api.responses import Health, Info, ModelInfo, Models, OpenAIModel, OpenAIModels, TaskInfo, error_responses
from app.api.status import Status
from app.errors import ModelNotFoundError, NotReadyError, RouteNotFoundError, ServeError
from app.service import Service
from app.tasks import TASKS

STATUS: list[str | Enum] = ["status"]  # the heading of the pages in the documentation

EXPOSITIONS = {kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/openmetrics-text")}

MARKDOWN = {"text/markdown": {"schema": {"type": "string"}}}

Handler = Callable[..., Awaitable[Any]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Pages(FastAPI):
    """Answers HEAD wherever there is a page, as GET: the server, which knows the method, sends no body.

    Paths are tidied, not redirected: behind a proxy that ends TLS, a redirect would lead out of it.
    """

    prefix = ""  # `settings.root_path`

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            path = scope.get("root_path", "") + tidy(path_of(scope), self.prefix)
            scope = {**scope, "method": method, "path": path}
        await super().__call__(scope, receive, send)


def build_pages(
    service: Service, keys: Keyring, predictions: Predictions | None = None, lifespan: Lifespan | None = None
) -> FastAPI:
    """Return the application of everything but the predictions; `predictions` are described where it has them."""
    pages = Pages(
        title="roberta-serve",
        version=__version__,
        description="RoBERTa and its relatives behind HTTP, without padding.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # FastAPI's own could not be guarded; see `add_docs`
        redoc_url=None,
        openapi_url=None,
        # FastAPI's own would export the messages of exceptions, which may quote a text.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    pages.prefix = service.settings.root_path
    access, status = Access(service.settings, keys), Status(service)
    install_page_errors(pages)
    add_health(pages, status)
    if access.is_on("models"):
        add_models(pages, status, access)
    if not keys.is_open:  # else there is no key that could order anything
        add_orders(pages, service, keys)
        add_log_levels(pages, keys)
    if access.is_on("metrics"):
        add_metrics(pages, status, access)
    if access.is_on("docs"):
        add_docs(pages, access)
    if predictions is not None:
        pages.router.routes.insert(0, OtherMethods(predictions))
        if access.is_on("page"):
            add_index(pages)
    add_protocol_pages(pages, service, status, access)
    doors = None if predictions is None else predictions.doors
    install_openapi(pages, service.settings, is_open=keys.is_open, doors=doors)
    return pages


class OtherMethods(BaseRoute):
    """The predictions' paths as FastAPI's router sees them: whatever is no `POST` is a 405, unless it is a page."""

    methods = frozenset({"POST"})

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_prediction = scope["type"] == "http" and self._predictions.endpoint(path_of(scope)) is not None
        return (Match.PARTIAL if is_prediction else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise HTTPException(405)


def answers(body: Any, errors: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Return the description of a page's answers."""
    return {200: {"model": body, "description": "The answer."}, **errors}


def add_health(pages: FastAPI, status: Status) -> None:
    """Health, which is never asked for a key: probes have none."""

    health = answers(Health, {503: {"model": Health, "description": "Not in order."}})

    @pages.get("/health/live", tags=STATUS, responses=health)
    async def live() -> Response:
        """Whether the service makes progress: 503 asks an orchestrator to restart it."""
        return status.live()

    @pages.get("/health/ready", tags=STATUS, responses=health)
    @pages.get("/health", tags=STATUS, responses=health)
    async def ready() -> Response:
        """Whether requests are answered: 503 while loading, draining, or with no model."""
        return status.ready(route=None)

    def add(route: str) -> None:
        @pages.get(f"/{route}/health", tags=STATUS, responses=health, name=f"{route} health")
        async def task_health() -> Response:
            """Whether a model of this task answers, as Hugging Face clients ask of its URL."""
            return status.ready(route=route)

    for task in TASKS.values():
        add(task.route)


def add_models(pages: FastAPI, status: Status, access: Access) -> None:
    """What is served, and within which limits."""
    guarded, described, errors = access.guard("models"), access.described("models"), access.errors("models")

    def get(path: str, body: Any, *more: type[ServeError], name: str | None = None) -> Callable[[Handler], Handler]:
        responses = answers(body, error_responses(*errors, *more, path=path))
        return pages.get(
            path, tags=STATUS, dependencies=guarded, responses=responses, openapi_extra=described, name=name
        )

    @get("/info", Info)
    async def info() -> dict[str, Any]:
        """The service's version, device and limits."""
        return status.info(route=None)

    @get("/models", Models)
    async def models() -> dict[str, Any]:
        """Every model, served, or refused and why; the model that answers each route; problems of the folder."""
        return status.models()

    @get("/models/{name}", ModelInfo, ModelNotFoundError, RouteNotFoundError)
    async def model(name: Annotated[str, Path(min_length=1)]) -> dict[str, Any]:
        """One model: its state, limits, labels, scores and where it comes from."""
        return status.model(name)

    @pages.get(
        "/models/{name}/card",
        tags=STATUS,
        dependencies=guarded,
        response_class=PlainTextResponse,
        responses=error_responses(*errors, ModelNotFoundError, RouteNotFoundError) | {200: {"content": MARKDOWN}},
        openapi_extra=described,
    )
    async def card(name: Annotated[str, Path(min_length=1)]) -> Response:
        """The model card of one model that is served."""
        return Response(status.card(name), media_type="text/markdown")

    @get("/v1/models", OpenAIModels)
    async def openai_models() -> dict[str, Any]:
        """The models that OpenAI's clients may ask, as `client.models.list()` reads them."""
        return status.openai_models()

    @get("/v1/models/{name}", OpenAIModel, ModelNotFoundError, RouteNotFoundError)
    async def openai_model(name: Annotated[str, Path(min_length=1)]) -> dict[str, Any]:
        """One of them, as `client.models.retrieve()` reads it."""
        return status.openai_model(name)

    def add(route: str) -> None:
        @get(f"/{route}/info", TaskInfo, ModelNotFoundError, NotReadyError, name=f"{route} info")
        async def task_info() -> dict[str, Any]:
            """The model that answers this task, as Hugging Face clients ask of its URL."""
            return status.info(route=route)

    for task in TASKS.values():
        add(task.route)


def add_metrics(pages: FastAPI, status: Status, access: Access) -> None:
    @pages.get(
        "/metrics",
        tags=STATUS,
        dependencies=access.guard("metrics"),
        response_class=PlainTextResponse,
        responses=error_responses(*access.errors("metrics")) | {200: {"content": EXPOSITIONS}},
        openapi_extra=access.described("metrics"),
    )
    async def metrics(request: Request) -> Response:
        """Prometheus or OpenMetrics text, as the scraper asks."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        status.refresh_gauges()
        text = await run_in_threadpool(encode, status.exposed)
        return Response(text, media_type=content_type)


def add_index(pages: FastAPI) -> None:
    page = index_page()

    @pages.get("/", tags=STATUS, response_class=HTMLResponse)
    async def index() -> Response:
        """A page for a browser: try the models, answer files, see what is served and how it does."""
        return page


def add_docs(pages: Pages, access: Access) -> None:
    """The OpenAPI document and its two pages, which the document leaves out."""
    guarded, shown = access.guard("docs"), {"docs": docs_page(), "redoc": redoc_page()}

    @pages.get("/openapi.json", include_in_schema=False, dependencies=guarded)
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse({**pages.openapi(), **servers_of(request.scope, pages)})

    @pages.get("/docs", include_in_schema=False, dependencies=guarded)
    async def docs() -> Response:
        return shown["docs"]

    @pages.get("/redoc", include_in_schema=False, dependencies=guarded)
    async def redoc() -> Response:
        return shown["redoc"]

    @pages.get("/docs/{name}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        if name not in ASSETS:
            raise HTTPException(404)
        return await run_in_threadpool(asset, name, request.headers.get("accept-encoding", ""))


def servers_of(scope: Scope, pages: Pages) -> dict[str, Any]:
    """Return where the document says that the service is, where a proxy or a mount shows it elsewhere than at `/`."""
    path = scope.get("root_path") or pages.prefix
    host = scope.get(FORWARDED_HOST)
    url = f"{scope['scheme']}://{host}{path}" if host else path
    return {"servers": [{"url": url}]} if url else {}
