"""An operator's orders over HTTP: load, unload, make a default, reload. Each needs a key with the scope `admin`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.api.codings import coding_of, decode
from app.api.keys import Keyring
from app.api.openapi import SECURED
from app.api.request import BodyMemory, read_body
from app.api.responses import ModelInfo, Models, error_responses
from app.errors import (
    ForbiddenError,
    InvalidRequestError,
    MalformedBodyError,
    ModelNotFoundError,
    NotReadyError,
    OrderRefusedError,
    RequestTooLargeError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)
from app.service import Service
from app.serving.orders import Order
from app.serving.parsing import explain
from app.settings import Route

Handler = Callable[..., Awaitable[Any]]
KindT = TypeVar("KindT", bound=BaseModel)

MOST_BODY_BYTES = 2**16
BODY_S = 10.0  # in which the body must arrive
ERRORS = error_responses(
    *(MalformedBodyError, UnauthorizedError, ForbiddenError, ModelNotFoundError, OrderRefusedError),
    *(RequestTooLargeError, UnsupportedMediaTypeError, InvalidRequestError, NotReadyError),
)


class Nothing(BaseModel):
    """An order that needs no more than its path."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int | None = None
    route: Route | None = None


class LoadOrder(Nothing):
    """Which version to serve from now on; without one, the highest that loads."""

    route: None = None
    version: int | None = Field(None, ge=1, le=2**53)


class DefaultOrder(Nothing):
    """The route that the model is to answer when a request names none."""

    route: Route
    version: int | None = Field(None, ge=1, le=2**53)


class NoOrder(Nothing):
    version: None = None
    route: None = None


async def read_order(request: Request, keys: Keyring, kind: type[KindT]) -> KindT:
    """Return what an order asks for; none without the scope `admin`."""
    headers = dict(request.headers.raw)
    keys.check(headers, "admin")
    deadline, memory = time.monotonic() + BODY_S, BodyMemory(MOST_BODY_BYTES)
    coding = coding_of(headers)
    body = await read_body(headers, request.receive, MOST_BODY_BYTES, deadline, memory)
    if coding:
        body = decode(body, coding, MOST_BODY_BYTES)
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise explain(error, body, kind) from None


def add_orders(pages: FastAPI, service: Service, keys: Keyring) -> None:
    """Add the endpoints of orders; each answers with what is served afterwards, or with why not."""

    async def read(request: Request, kind: type[Nothing]) -> Nothing:
        return await read_order(request, keys, kind)

    def post(path: str, kind: type[Nothing], answer: Any) -> Callable[[Handler], Handler]:
        schema = {"content": {"application/json": {"schema": kind.model_json_schema()}}}
        return pages.post(
            path, tags=["admin"], responses={200: {"model": answer}, **ERRORS},
            openapi_extra={**SECURED, "requestBody": schema | {"required": kind is DefaultOrder}},
        )  # fmt: skip

    @post("/admin/models/{name}/load", LoadOrder, ModelInfo)
    async def load(name: str, request: Request) -> Any:
        """Serve a version, or the highest that loads; it stays so until the next order or start."""
        asked = await read(request, LoadOrder)
        return await service.obey(Order("load", name, asked.version))

    @post("/admin/models/{name}/unload", NoOrder, ModelInfo)
    async def unload(name: str, request: Request) -> Any:
        """Serve a model no more, until it is loaded again or the service is started anew."""
        await read(request, NoOrder)
        return await service.obey(Order("unload", name))

    @post("/admin/models/{name}/default", DefaultOrder, ModelInfo)
    async def make_default(name: str, request: Request) -> Any:
        """Have a model that is served answer a route when a request names none, until the next start."""
        asked = await read(request, DefaultOrder)
        return await service.obey(Order("default", name, asked.version, asked.route))

    @post("/admin/reload", NoOrder, Models)
    async def reload(request: Request) -> Any:
        """Load what has changed on disk. Only SIGHUP looks up models on the Hub again."""
        await read(request, NoOrder)
        return await service.obey(Order("reload"))
