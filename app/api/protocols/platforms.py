"""Predictions as platforms ask for them that run containers: SageMaker, and Vertex AI.

On each there is one path, so that the body says which model is asked: `model` names one, which is asked by its own
task; else the default route's is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, JsonValue, ValidationError
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.api.call import PLAIN, Call, Described, Endpoint, Form
from app.api.responses import PROTOCOLS
from app.errors import InvalidRequestError, RequestTooLargeError
from app.serving.parsing import Bounds, json_of, parse, read
from app.serving.structure import count_values
from app.tasks import TASKS
from app.tasks.asking import AnyTask, body_of, inputs_of, takes_inputs, takes_lists
from app.tasks.base import BaseTask, TaskRequest
from app.tasks.parameters import NullIs, Strict
from app.window import Floats

if TYPE_CHECKING:
    from app.api.predictions import Predictions
    from app.serving.model import Model

INVOCATIONS = "/invocations"
TARGET_MODEL = b"x-amzn-sagemaker-target-model"
BY_ROUTE: dict[str, AnyTask] = {task.route: task for task in TASKS.values()}
MODEL, INSTANCES = b'"model"', b'"instances"'


class Named(BaseModel, extra="ignore"):
    """What of a body says which model it is for."""

    model: str | None = None


class Instances(Strict):
    """The body that Vertex AI sends. `parameters` are the fields and parameters of the task's own body, `model` among
    them."""

    instances: Annotated[list[JsonValue], Field(min_length=1, fail_fast=True)]
    parameters: Annotated[dict[str, JsonValue], NullIs({})] = Field(default_factory=dict)


class Predicted(TypedDict):
    """An answer for each instance."""

    predictions: list[Any]


class AsPredictions:
    """The form of an answer for Vertex AI."""

    headers = PLAIN.headers

    def write(self, task: BaseTask[Any, Any], request: TaskRequest, state: Any, outputs: Sequence[Floats]) -> bytes:
        answer = task.render(request, state, outputs)
        return b'{"predictions":%b}' % (answer if takes_lists(type(task)) else b"[" + answer + b"]")


AS_PREDICTIONS = AsPredictions()


class Platforms:
    """The door: `/invocations`, and where the settings have one, `predict_route`."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions, self._service = predictions, predictions.service
        self._default = self._service.settings.default_route
        self.endpoints: dict[str, Endpoint] = {INVOCATIONS: self._invoke}
        if (path := self._service.settings.predict_route) is not None:
            route = path.removeprefix("/")
            self.endpoints[path] = partial(self._predict, route if is_asked_by(route) else self._default)

    def endpoint(self, path: str) -> Endpoint | None:
        return None

    async def _invoke(self, call: Call) -> None:
        """Answer SageMaker: the body of the default route, or of the model that it names."""
        if TARGET_MODEL in call.headers:
            raise InvalidRequestError(
                "X-Amzn-SageMaker-Target-Model: models are not loaded by request; serve a folder of several, and name "
                "one in the body, as `model`"
            )
        call.choice = "all"
        await self._predictions.admit(call)
        await self._answer_own(call, self._default)

    async def _predict(self, route: str, call: Call) -> None:
        """Answer Vertex AI: instances, or, as its raw predictions come, a task's own body."""
        call.choice = "all"
        await self._predictions.admit(call)
        if INSTANCES in call.body:
            await self._answer_instances(call, route)
        else:
            await self._answer_own(call, route)

    async def _answer_instances(self, call: Call, route: str) -> None:
        asked = await self._service.read(partial(read, kind=Instances), call.body, deadline=call.deadline)
        model, route = self._model_for(route, asked.parameters.get("model"))
        call.task = route
        making = partial(instances_request, asked, BY_ROUTE[route])
        request = await self._service.read(making, call.body, deadline=call.deadline)
        await self._respond(call, model, route, request, AS_PREDICTIONS)

    async def _answer_own(self, call: Call, route: str) -> None:
        """Answer a task's own body: that of `route`, or of the model that it names."""
        named = None
        if MODEL in call.body:
            named = await self._service.read(model_named, call.body, deadline=call.deadline)
        model, route = self._model_for(route, named)
        call.task = route
        request = await self._predictions.parse(call, BY_ROUTE[route].request_type)
        await self._respond(call, model, route, request, PLAIN)

    def _model_for(self, route: str, name: Any) -> tuple[Model, str]:
        """Return the model that is asked, and by which route: its own where it does not answer `route`."""
        if not isinstance(name, str) or not name:
            return self._service.registry.find(route, None), route
        model = self._service.registry.find(None, name)
        return model, route if route in model.pipelines else model.task.route

    async def _respond(self, call: Call, model: Model, route: str, request: TaskRequest, form: Form) -> None:
        call.body = b""  # what it says is in the request
        await self._predictions.respond(call, model, route, request, form)

    def described(self) -> Iterator[Described]:
        default = BY_ROUTE[self._default]
        yield Described(
            INVOCATIONS,
            "invocations",
            "Ask as SageMaker does.",
            default.request_type,
            default.answer_type,
            example=default.example,
            tag=PROTOCOLS,
        )
        if (path := self._service.settings.predict_route) is not None and not is_asked_by(path.removeprefix("/")):
            yield Described(path, "predict", "Ask as Vertex AI does.", Instances, Predicted, tag=PROTOCOLS)


def is_asked_by(route: str) -> bool:
    """Whether a predict route that is called so asks the task of that route."""
    return route in BY_ROUTE and takes_inputs(BY_ROUTE[route])


def model_named(body: bytes, *, bounds: Bounds) -> str | None:
    """Return the model that a body names; None where it names none, or is no body at all, which is said elsewhere."""
    if len(body) > bounds.values and count_values(body, bounds.values) > bounds.values:
        raise RequestTooLargeError(f"the body has more than {bounds.values:,} values and fields")
    try:
        return Named.model_validate_json(body).model
    except ValidationError:
        return None


def instances_request(asked: Instances, task: AnyTask, body: bytes, *, bounds: Bounds) -> TaskRequest:
    """Return what instances ask of a task; an instance is an input, or has it as its only field, `inputs`."""
    items = [
        each["inputs"] if isinstance(each, dict) and each.keys() == {"inputs"} else each for each in asked.instances
    ]
    content = json_of(body_of(task.request_type, inputs_of(task, items), asked.parameters))
    return parse(content, task.request_type, bounds)
