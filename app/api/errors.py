"""Errors over HTTP: the one place where an exception becomes a status and a body."""

from __future__ import annotations

import math
import time
import traceback

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import InternalError, MethodNotAllowedError, RouteNotFoundError, ServeError
from app.metrics import Metrics

log = structlog.get_logger(__name__)


class ErrorHandlers:
    """Answers with `{"error", "error_type", "request_id"}`, counts it and logs it, without what was sent."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def install(self, app: FastAPI) -> None:
        app.add_exception_handler(ServeError, self.on_serve_error)
        app.add_exception_handler(HTTPException, self.on_http_exception)
        app.add_exception_handler(Exception, self.on_defect)

    async def on_serve_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, ServeError)
        return self.answer(request, error)

    async def on_http_exception(self, request: Request, error: Exception) -> Response:
        """The router's own: no such path, or not with that method."""
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            response = self.answer(request, MethodNotAllowedError(f"{request.method} is not possible here; see /docs"))
            response.headers.update(error.headers or {})  # Allow, which RFC 9110 asks of a 405
            return response
        return self.answer(request, RouteNotFoundError("there is nothing at this path; see /docs"))

    async def on_defect(self, request: Request, error: Exception) -> Response:
        """Anything unforeseen. Its message may quote the input, so only its type and its stack are logged."""
        stack = "".join(traceback.format_tb(error.__traceback__))
        log.error("defect", cause=type(error).__name__, stack=stack, request_id=request.state.request_id)
        return self.answer(request, InternalError("the service failed on this request; the cause is in its log"))

    def answer(self, request: Request, error: ServeError) -> Response:
        state = request.state
        task, model = getattr(state, "task", ""), getattr(state, "model", "")
        started = getattr(state, "started", None)
        if started is not None:  # a prediction, not a page that is not there
            self._metrics.requests.labels(task, model, str(error.status)).inc()
            if error.before_work:
                self._metrics.rejected.labels(error.code).inc()
            if model:
                self._metrics.request_duration.labels(task, model).observe(time.monotonic() - started)
        log.info("request_failed", request_id=state.request_id, code=error.code, status=error.status, model=model)
        headers = {"X-Request-Id": state.request_id}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        body = {"error": error.message, "error_type": error.code, "request_id": state.request_id}
        return JSONResponse(body, error.status, headers)
