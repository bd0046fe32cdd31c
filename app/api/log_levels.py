"""The levels of the log over HTTP: which there are, and an operator's order to change them while the service runs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from pydantic import ConfigDict, RootModel

from app.api.keys import Keyring
from app.api.openapi import SECURED
from app.api.orders import read_order
from app.api.responses import error_responses
from app.errors import (
    ForbiddenError,
    InvalidRequestError,
    MalformedBodyError,
    RequestTooLargeError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    quote,
)
from app.logs.levels import UnknownLoggerError, log_levels
from app.settings import LogLevel

PATH = "/admin/log-levels"
SHOWN = error_responses(UnauthorizedError, ForbiddenError)
ERRORS = error_responses(
    *(MalformedBodyError, UnauthorizedError, ForbiddenError),
    *(RequestTooLargeError, UnsupportedMediaTypeError, InvalidRequestError),
)


class Levels(RootModel[dict[str, LogLevel]]):
    """Levels by module or package of the service, or by the logger of a library; `root` is all others'."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"app.engine": "debug"}]})


def add_log_levels(pages: FastAPI, keys: Keyring) -> None:
    """Add the two endpoints."""
    schema = {"content": {"application/json": {"schema": Levels.model_json_schema()}}}

    @pages.get(PATH, tags=["admin"], responses={200: {"model": Levels}, **SHOWN}, openapi_extra=SECURED)
    async def shown(request: Request) -> Any:
        """The level of each logger that has one."""
        keys.check(dict(request.headers.raw), "admin")
        return log_levels.shown()

    @pages.put(
        PATH,
        tags=["admin"],
        responses={200: {"model": Levels}, **ERRORS},
        openapi_extra={**SECURED, "requestBody": schema | {"required": True}},
    )
    async def order(request: Request) -> Any:
        """Set levels over those of the start, in place of all that were ordered before; `{}` goes back to the start's.

        They hold in every process of the service within a second, until the next order or start.
        """
        asked = (await read_order(request, keys, Levels)).root
        try:
            log_levels.order(asked)
        except UnknownLoggerError as error:
            raise InvalidRequestError(f"{quote(error.name)[1:-1]}: {error}") from None
        return log_levels.shown()
