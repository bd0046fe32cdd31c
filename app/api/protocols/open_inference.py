"""The Open Inference Protocol, version 2, over HTTP, as KServe, Triton and their clients speak it.

A model is asked by its own task. A task has a name of its own, its route, by which its default model is asked, or
another that answers it: that is how tasks of other tasks' models are reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from app.api.call import Call, Described, Endpoint
from app.api.openapi import NAME, VERSION
from app.api.protocols.inference import Answered, InferRequest, InferResponse, read_inference
from app.api.responses import PROTOCOLS, header
from app.errors import InvalidRequestError, quote
from app.tasks import TASKS
from app.tasks.asking import takes_inputs
from app.tasks.base import BaseTask

if TYPE_CHECKING:
    from app.api.predictions import Predictions
    from app.serving.model import Model
    from app.serving.registry import Registry

MODELS = "/v2/models/"
INFER = re.compile(re.escape(MODELS) + r"([^/]+)(?:/versions/([^/]+))?/infer")
MEDIA_TYPES = ("application/octet-stream",)  # of a body with data after its JSON
ASKED = frozenset(task.route for task in TASKS.values() if takes_inputs(task))
DESCRIPTION = (
    "Ask a model as the Open Inference Protocol does: texts in, the columns of the task's answers out. Data may follow "
    "the JSON, both ways, with `Inference-Header-Content-Length`."
)


class Target(NamedTuple):
    """What the name in a path means: a model, which is asked by its own task, or a task, of which a request may choose
    the model."""

    model: Model
    route: str
    is_task: bool

    @property
    def by(self) -> Answered:
        return Answered(self.model.name, str(self.model.bundle.manifest.version))

    @property
    def task(self) -> BaseTask[Any, Any]:
        return self.model.pipelines[self.route].task


def find(registry: Registry, name: str, version: str | None = None) -> Target:
    """Return what a name means, a model before a task; a version is that of the model.

    Raises `NotReadyError`, and `ModelNotFoundError` where there is no such name or version.
    """
    if name in ASKED and registry.entry(name) is None:
        model = registry.find(name, None)
        return Target(model if version is None else registry.find(name, f"{model.name}:{version}"), name, is_task=True)
    model = registry.find(None, name if version is None else f"{name}:{version}")
    return Target(model, model.task.route, is_task=False)


class OpenInference:
    """The door: `POST /v2/models/{name}/infer`, with and without `/versions/{version}`."""

    endpoints: Mapping[str, Endpoint] = {}

    def __init__(self, predictions: Predictions) -> None:
        self._predictions, self._service = predictions, predictions.service

    def endpoint(self, path: str) -> Endpoint | None:
        found = INFER.fullmatch(path) if path.startswith(MODELS) else None
        return None if found is None else partial(self._infer, found[1], found[2])

    async def _infer(self, name: str, version: str | None, call: Call) -> None:
        await self._predictions.admit(call, MEDIA_TYPES)
        target = find(self._service.registry, name, version)
        call.task, call.choice = target.route, "task" if target.is_task else "none"
        reading = partial(read_inference, headers=call.headers, task=target.task, by=target.by)
        request, inference = await self._service.read(reading, call.body, deadline=call.deadline)
        call.body = b""  # what it says is in the request
        model = target.model
        if request.model is not None:
            if not target.is_task or version is not None:
                raise InvalidRequestError(f"parameters.model: the path already names {quote(name)}")
            model = self._service.registry.find(target.route, request.model)
            chosen = target._replace(model=model)
            inference.bind(chosen.task, request, chosen.by)
        if inference.timeout_s is not None:
            call.deadline = min(call.deadline, call.started + inference.timeout_s)
        await self._predictions.respond(call, model, target.route, request, inference)

    def described(self) -> Iterator[Described]:
        path, media_types = f"{MODELS}{{name}}/infer", MEDIA_TYPES
        headers = {
            "Inference-Header-Content-Length": header("Bytes of the JSON, where data follow it.", required=False)
        }
        by_name = Described(
            path, "infer", DESCRIPTION, InferRequest, InferResponse, (NAME,), None, PROTOCOLS, media_types, headers
        )
        yield by_name
        path = f"{MODELS}{{name}}/versions/{{version}}/infer"
        yield by_name._replace(path=path, operation_id="infer-version", parameters=(NAME, VERSION))
