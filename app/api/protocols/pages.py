"""The pages of other protocols: what is served and whether it is ready, in their words."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app import __version__
from app.api.access import Access
from app.api.protocols.inference import inputs_metadata, outputs_metadata
from app.api.protocols.open_inference import MODELS, find
from app.api.responses import PROTOCOLS, Health, error_responses
from app.api.status import Status
from app.errors import ModelNotFoundError, NotReadyError, RouteNotFoundError, ServeError
from app.service import Service

TAGS: list[Any] = [PROTOCOLS]
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "onnxruntime_onnx"  # Triton's word
PING = "/ping"  # SageMaker's

Name = Annotated[str, Path(min_length=1, description="A model, or a task by its route.")]
Version = Annotated[str, Path(min_length=1)]


class ServerMetadata(BaseModel):
    """What the service is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor; -1 stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and answers."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Live(BaseModel):
    """Whether the service makes progress."""

    live: bool


class Ready(BaseModel):
    """Whether requests are answered."""

    ready: bool


class ModelReady(Ready):
    """Whether a model answers."""

    name: str


def add_protocol_pages(pages: FastAPI, service: Service, status: Status, access: Access) -> None:
    """Add the pages that other protocols have; whoever probes has no key, and whoever asks what is served has one."""
    add_probes(pages, service, status)
    if access.is_on("models"):
        add_metadata(pages, service, access)
    health = service.settings.health_route
    for path in {PING, *([] if health is None else [health])}:

        @pages.get(path, tags=TAGS, responses=by_status(Health), name=f"health at {path}")
        async def ping() -> Response:
            """Whether requests are answered, as platforms ask that run containers."""
            return status.ready(route=None)


def by_status(body: type[Any]) -> dict[int | str, dict[str, Any]]:
    """Return the description of a page that says by its status what its body says."""
    return {200: {"model": body, "description": "Yes."}, 503: {"model": body, "description": "No."}}


def add_probes(pages: FastAPI, service: Service, status: Status) -> None:
    @pages.get("/v2/health/live", tags=TAGS, responses=by_status(Live))
    async def is_live() -> Response:
        """Whether the service makes progress."""
        return told({"live": status.live().status_code == HTTPStatus.OK}, "live")

    @pages.get("/v2/health/ready", tags=TAGS, responses=by_status(Ready))
    async def is_ready() -> Response:
        """Whether requests are answered."""
        return told({"ready": status.ready(route=None).status_code == HTTPStatus.OK}, "ready")

    def of_model(name: str, version: str | None) -> Response:
        is_ready = status.ready(route=None).status_code == HTTPStatus.OK
        if is_ready:
            try:
                find(service.registry, name, version)
            except NotReadyError:
                is_ready = False
        return told({"name": name, "ready": is_ready}, "ready")

    responses = by_status(ModelReady) | error_responses(ModelNotFoundError, RouteNotFoundError)

    @pages.get(f"{MODELS}{{name}}/ready", tags=TAGS, responses=responses)
    async def is_model_ready(name: Name) -> Response:
        """Whether a model answers, or a task."""
        return of_model(name, None)

    @pages.get(f"{MODELS}{{name}}/versions/{{version}}/ready", tags=TAGS, responses=responses)
    async def is_version_ready(name: Name, version: Version) -> Response:
        """Whether a version of a model answers."""
        return of_model(name, version)


def told(body: dict[str, Any], word: str) -> Response:
    return JSONResponse(body, HTTPStatus.OK if body[word] else HTTPStatus.SERVICE_UNAVAILABLE)


def add_metadata(pages: FastAPI, service: Service, access: Access) -> None:
    guarded, described, errors = access.guard("models"), access.described("models"), access.errors("models")

    def get(path: str, body: type[BaseModel], *more: type[ServeError]) -> Callable[[Any], Any]:
        responses = {200: {"model": body, "description": "The answer."}, **error_responses(*errors, *more)}
        return pages.get(path, tags=TAGS, dependencies=guarded, responses=responses, openapi_extra=described)

    @get("/v2", ServerMetadata)
    async def server_metadata() -> dict[str, Any]:
        """What the service is, and which extensions of the Open Inference Protocol it has."""
        return {"name": "roberta-serve", "version": __version__, "extensions": EXTENSIONS}

    def of_model(name: str, version: str | None) -> dict[str, Any]:
        target = find(service.registry, name, version)
        return {
            "name": name,
            "versions": [target.by.version],
            "platform": PLATFORM,
            "inputs": inputs_metadata(type(target.task)),
            "outputs": outputs_metadata(target.task),
        }

    kinds = (ModelNotFoundError, RouteNotFoundError, NotReadyError)

    @get(f"{MODELS}{{name}}", ModelMetadata, *kinds)
    async def model_metadata(name: Name) -> dict[str, Any]:
        """What a model, or a task, takes and answers as tensors."""
        return of_model(name, None)

    @get(f"{MODELS}{{name}}/versions/{{version}}", ModelMetadata, *kinds)
    async def version_metadata(name: Name, version: Version) -> dict[str, Any]:
        """What a version of a model takes and answers."""
        return of_model(name, version)
