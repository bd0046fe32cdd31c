"""Errors over HTTP: the one place where an exception becomes a status and a body."""

from __future__ import annotations

import math
import time
import traceback
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI, Request, Response
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.api.openai_form import error_of, is_openai
from app.api.request import path_of, request_id_of
from app.api.traced import RESPONSE_HEADER
from app.errors import InternalError, MethodNotAllowedError, RouteNotFoundError, ServeError, UnsupportedCodingError
from app.logs import line_limit
from app.metrics import Metrics

if TYPE_CHECKING:
    from app.api.call import Call

log = structlog.get_logger(__name__)


class ErrorResponses:
    """Makes `{"error", "error_type", "request_id"}` of an error and logs it, without what was sent.

    Errors of predictions are counted, those of pages are not.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def of_call(self, call: Call, error: ServeError) -> Response:
        """Return the answer to a prediction that met `error`."""
        self._metrics.requests.labels(call.task, call.model, str(error.status)).inc()
        if error.before_work:
            self._metrics.rejected.labels(error.code).inc()
        if call.model:
            exemplar = None if call.span is None else call.span.exemplar
            duration = self._metrics.request_duration.labels(call.task, call.model)
            duration.observe(time.monotonic() - call.started, exemplar)
            if error.status == 504:
                self._metrics.missed_deadline.labels(call.task, call.model).observe(call.deadline - call.started)
        response, call.error = render(error, call.request_id, call.model, call.path), error
        if call.span is not None:
            response.headers[RESPONSE_HEADER.decode()] = call.span.response
        return response

    def of_defect(self, call: Call, error: Exception) -> Response:
        """Return the answer to a prediction that met something unforeseen."""
        return self.of_call(call, internal_error(error, call.request_id))


def install_page_errors(pages: FastAPI) -> None:
    """Have FastAPI's pages answer errors as predictions do."""
    pages.add_exception_handler(ServeError, on_serve_error)
    pages.add_exception_handler(HTTPException, on_http_exception)
    pages.add_exception_handler(Exception, on_defect)


async def on_serve_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServeError)
    return render(error, request_id_of(dict(request.headers.raw)), path=path_of(request.scope))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The router's own: no such path, or not with that method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = methods_at(request)
        refusal = MethodNotAllowedError(f"{request.method} is not possible here, but {' and '.join(allowed)}")
        response = await on_serve_error(request, refusal)
        response.headers["Allow"] = ", ".join(allowed)  # RFC 9110 asks it of a 405
        return response
    return await on_serve_error(request, RouteNotFoundError("there is nothing at this path; see /docs"))


def methods_at(request: Request) -> list[str]:
    """Return the methods that are possible at the path of a request; HEAD is wherever GET is."""
    methods: set[str] = set()
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


async def on_defect(request: Request, error: Exception) -> Response:
    request_id = request_id_of(dict(request.headers.raw))
    return render(internal_error(error, request_id), request_id, path=path_of(request.scope))


def internal_error(error: Exception, request_id: str) -> InternalError:
    """Log a defect. Its message may quote the input, so only its type and its stack are logged."""
    stack = "".join(traceback.format_tb(error.__traceback__))
    log.error("defect", cause=type(error).__name__, stack=stack, request_id=request_id)
    return InternalError("the service failed on this request; the cause is in its log")


def render(error: ServeError, request_id: str, model: str = "", path: str = "") -> Response:
    """Log an error, unless many of its kind were just logged, and return its response, as clients of `path` read it."""
    log_refusal(error, request_id, model)
    return Response(
        body_of(error, request_id, path), error.status, headers_of(error, request_id), media_type="application/json"
    )


def log_refusal(error: ServeError, request_id: str, model: str) -> None:
    if not line_limit.leaves_out("request_failed", error.code):
        log.info("request_failed", request_id=request_id, code=error.code, status=error.status, model=model)


def headers_of(error: ServeError, request_id: str) -> dict[str, str]:
    """Return the headers of an error, but for those of its body."""
    headers = {"x-request-id": request_id}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, UnsupportedCodingError):
        headers["accept-encoding"] = error.accepted  # RFC 9110, section 12.5.3
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def body_of(error: ServeError, request_id: str, path: str) -> bytes:
    """Return the body of an error, as JSON, in the form that clients of `path` read."""
    told = error_of(error) if is_openai(path) else error.message
    return to_json({"error": told, "error_type": error.code, "request_id": request_id})
