"""The OpenAPI document: the pages from FastAPI, the predictions from the tasks' own request and answer types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from app.api.call import Described, Door
from app.api.request import PRIORITIES
from app.api.responses import PREDICTION_HEADERS, ErrorBody, OpenAIErrorBody, error_responses
from app.errors import (
    BadRequestError,
    DeadlineExceededError,
    DeadlineUnmeetableError,
    DisplacedError,
    EngineLostError,
    ForbiddenError,
    InferenceFailedError,
    InternalError,
    InvalidRequestError,
    MalformedBodyError,
    ModelNotFoundError,
    NotReadyError,
    QueueFullError,
    RateLimitedError,
    RequestTooLargeError,
    RouteNotFoundError,
    ServeError,
    TooManyConnectionsError,
    UnauthorizedError,
    UnsupportedCodingError,
    UnsupportedMediaTypeError,
)
from app.settings import Settings
from app.tasks import MODEL_TASKS, TASKS

INPUTS = ("inputs", "input", "sentences")  # fields that are a text, or have at most as many as are taken at once
REF = "#/components/schemas/{model}"
BEARER = "key"
SECURED: dict[str, Any] = {"security": [{BEARER: []}]}

OF_PREDICTIONS: tuple[type[ServeError], ...] = (
    *(BadRequestError, MalformedBodyError, ModelNotFoundError, RequestTooLargeError, UnsupportedMediaTypeError),
    *(InvalidRequestError, QueueFullError, DisplacedError, InferenceFailedError, InternalError, NotReadyError),
    *(EngineLostError, TooManyConnectionsError, DeadlineExceededError, DeadlineUnmeetableError, UnsupportedCodingError),
)
OF_KEYS: tuple[type[ServeError], ...] = (UnauthorizedError, ForbiddenError, RateLimitedError)

PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Comes back with the answer where it is at most 128 printable ASCII characters without spaces.",
        "schema": {"type": "string"},
    },
    {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "description": "Milliseconds that the answer may take; at most the service's own limit counts.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 10**12 - 1},
    },
    {
        "name": "X-Priority",
        "in": "header",
        "description": "Higher goes first; more than the key may ask for counts as its highest.",
        "schema": {"type": "integer", "minimum": PRIORITIES[0], "maximum": PRIORITIES[-1]},
    },
]
MODEL = {
    "name": "model",
    "in": "query",
    "description": "Model to use, `name` or `name:version`, where the body names none.",
    "schema": {"type": "string"},
}
NAME = {
    "name": "name",
    "in": "path",
    "description": "`name` or `name:version`.",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}
VERSION = {
    "name": "version",
    "in": "path",
    "description": "The version of the model, which is served alone.",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}


def install_openapi(app: FastAPI, settings: Settings, *, is_open: bool, doors: Sequence[Door] | None) -> None:
    """Make `app.openapi()` describe the predictions too, which FastAPI does not see.

    `is_open`: no key is asked for. `doors` are other protocols on which predictions are asked for; None: there are none
    at all.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            correct_pages(document)
            if doors is not None:
                Predictions(document, settings, is_open=is_open).add(doors)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def correct_pages(document: dict[str, Any]) -> None:
    """Take out FastAPI's own 422, which no page answers, and put in the schema of errors."""
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method == "get":
                operation["responses"].pop("422", None)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for body in (ErrorBody, OpenAIErrorBody):
        described = TypeAdapter(body).json_schema(mode="serialization", ref_template=REF)
        schemas |= described.pop("$defs", {})
        schemas[body.__name__] = described
    document["components"]["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer"}}


def titled(name: str) -> str:
    return name.replace("-", " ").capitalize()


class Predictions:
    """Adds the operations of `app.api.predictions` to a document."""

    def __init__(self, document: dict[str, Any], settings: Settings, *, is_open: bool) -> None:
        self._document, self._settings, self._is_open = document, settings, is_open
        self._errors = (*OF_PREDICTIONS, *(() if is_open else OF_KEYS))

    def add(self, doors: Sequence[Door]) -> None:
        for task in TASKS.values():
            of_task = Described(
                f"/{task.route}", task.route, task.__doc__, task.request_type, task.answer_type, (MODEL,)
            )._replace(example=task.example, answered=task.answered, title=task.title or titled(task.route))
            self._put(of_task)
            if task.route == self._settings.default_route:
                self._put(of_task._replace(path="/", operation_id="default"))
        tasks = list(MODEL_TASKS.values())
        by_name = Described(
            "/models/{name}",
            "model",
            "Answer with one model by the body of its task.",
            Union[tuple(task.request_type for task in tasks)],  # noqa: UP007  made of a list
            Union[tuple(task.answer_type for task in tasks)],  # noqa: UP007
            (NAME,),
        )
        for described in (by_name, *(each for door in doors for each in door.described())):
            self._put(described)

    def _put(self, described: Described) -> None:
        """Add the operation of one path; the schemas of its bodies go into the document's components."""
        answer: dict[str, Any] = {"description": "The answer."}
        answer["headers"] = {**PREDICTION_HEADERS, **described.answer_headers}
        answer["content"] = {each: {"schema": {"type": "string"}} for each in described.answer_media_types}
        answer["content"] |= self._content(described.answer_type, "serialization")
        content = self._content(described.request_type, "validation")
        if described.example is not None:
            content["application/json"]["schema"]["examples"] = [described.example]
        if described.answered is not None:
            content["application/json"]["example"] = described.answered.body
            answer["content"]["application/json"]["example"] = described.answered.answer
        errors = error_responses(*self._errors, path=described.path)
        operation = {
            "tags": [described.tag],
            "summary": described.title or titled(described.operation_id),
            "description": described.description,
            "operationId": described.operation_id,
            "parameters": [*described.parameters, *PARAMETERS],
            "requestBody": {"required": True, "content": content},
            "responses": {"200": answer} | {str(status): error for status, error in errors.items()},
            **({} if self._is_open else SECURED),
        }
        if NAME in described.parameters:
            operation["responses"]["404"] = error_responses(ModelNotFoundError, RouteNotFoundError)[404]
        self._document["paths"].setdefault(described.path, {})["post"] = operation

    def _content(self, kind: Any, mode: JsonSchemaMode) -> dict[str, Any]:
        schema = TypeAdapter(kind).json_schema(ref_template=REF, mode=mode)
        schemas: dict[str, Any] = schema.pop("$defs", {})
        for described in (schema, *schemas.values()):
            for name in INPUTS:
                self._bound_inputs(described.get("properties", {}).get(name, {}), schemas)
        self._document["components"]["schemas"].update(schemas)
        return {"application/json": {"schema": schema}}

    def _bound_inputs(self, inputs: dict[str, Any], schemas: dict[str, Any]) -> None:
        """Say how many texts a list of inputs may have, or a list in an input that stands for several."""
        for branch in (inputs, *inputs.get("oneOf", ())):
            if branch.get("type") == "array":
                branch["maxItems"] = self._settings.max_inputs
            fields = schemas.get(branch.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
            for part in (part for field in fields.values() for part in field.get("oneOf", ())):
                if part.get("type") == "array":
                    part.setdefault("maxItems", self._settings.max_inputs)
