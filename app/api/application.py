"""The HTTP application: the one way in, whether the models run in this process or in others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.api.call import Call, Endpoint
from app.api.errors import ErrorResponses
from app.api.gate import Gate
from app.api.keys import Keyring
from app.api.pages import build_pages
from app.api.predictions import Predictions
from app.api.protocols import DOORS
from app.api.request import path_of, tidy
from app.api.traced import TracedCalls, Tracing
from app.errors import ServeError
from app.service import Service


class Application:
    """An ASGI application: `POST` to a prediction's path goes straight to its endpoint, all else to the pages.

    The pages are FastAPI's. They know the paths of the predictions too: they answer other methods there with 405.
    `keys` are those of the settings, unless processes share the counts of their limits. Raises `KeyFileError` where
    the file of keys cannot be used. With `tracing` there are spans of all predictions.
    """

    def __init__(self, service: Service, keys: Keyring | None = None, tracing: Tracing | None = None) -> None:
        self.service, self._tracing = service, tracing
        keys = Keyring(service.settings, service.metrics) if keys is None else keys
        self._prefix = service.settings.root_path
        self._errors = ErrorResponses(service.metrics)
        self.gate = Gate(service, keys)
        self._predictions = Predictions(service, keys, self.gate)
        for door in DOORS:
            self._predictions.add(door(self._predictions))
        self._traced = (
            None if tracing is None else TracedCalls(tracing, self._predictions.templates(), service.settings.scheme)
        )
        self.gate.traced = self._traced
        self.pages = build_pages(service, keys, self._predictions, self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            path = path_of(scope)
            if (endpoint := self._predictions.endpoint(path)) is None:
                path = tidy(path, self._prefix)
                endpoint = self._predictions.endpoint(path)
            if endpoint is not None:
                call = Call.of(scope, receive, send, path)
                if self._traced is None:
                    return await self._answer(endpoint, call)
                with self._traced.follow(call):
                    return await self._answer(endpoint, call)
        return await self.pages(scope, receive, send)

    async def _answer(self, endpoint: Endpoint, call: Call) -> None:
        try:
            await endpoint(call)
        except ServeError as error:
            self.gate.note(call, error)
            response = self._errors.of_call(call, error)
            error.__traceback__ = None  # with it the error would hold the request, which may hold the error
            await response(call.scope, call.receive, call.send)
        except Exception as error:
            response = self._errors.of_defect(call, error)
            if not call.is_answered:
                await response(call.scope, call.receive, call.send)
            raise  # uvicorn closes the connection and logs the kind of error
        finally:
            self._predictions.end(call)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, as `/openapi.json` shows it."""
        return self.pages.openapi()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Serve from the start: until the models are loaded, predictions are answered with 503."""
        await self.service.start(wait=False)
        yield
        await self.service.stop()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
