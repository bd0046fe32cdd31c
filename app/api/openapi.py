"""The OpenAPI document of the prediction routes, from the tasks' own request and answer types."""

from __future__ import annotations

from typing import Any, Union

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from app.tasks import TASKS

REF = "#/components/schemas/{model}"
ERROR_STATUSES = ("400", "401", "404", "413", "415", "422", "429", "500", "503", "504")


class ErrorBody(BaseModel):
    """The body of every error."""

    error: str
    error_type: str
    request_id: str


def install_openapi(app: FastAPI, default_route: str) -> None:
    """Make `app.openapi()` describe the predictions too, which FastAPI does not see."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            describe_predictions(document, default_route)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def describe_predictions(document: dict[str, Any], default_route: str) -> None:
    """Add the endpoints of `app.api.predictions`."""
    for task in TASKS.values():
        operation = describe(document, task.route, task.__doc__, task.request_type, task.answer_type)
        document["paths"].setdefault(f"/{task.route}", {})["post"] = operation
        if task.route == default_route:
            document["paths"].setdefault("/", {})["post"] = operation | {"operationId": "default"}
    tasks = list(TASKS.values())
    by_name = describe(
        document,
        "model",
        "Answer with one model, `name` or `name:version`, by the body of its task.",
        Union[tuple(task.request_type for task in tasks)],  # noqa: UP007  made of a list
        Union[tuple(task.answer_type for task in tasks)],  # noqa: UP007
    )
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    document["paths"].setdefault("/models/{name}", {})["post"] = by_name | {"parameters": [name]}


def describe(
    document: dict[str, Any], operation_id: str, description: str | None, request_type: Any, answer_type: Any
) -> dict[str, Any]:
    """Return the operation of one route; the schemas of its bodies go into the document's components."""

    def content(kind: Any, mode: JsonSchemaMode) -> dict[str, Any]:
        return {"application/json": {"schema": schema_of(document, kind, mode)}}

    error = {"description": "Error", "content": content(ErrorBody, "serialization")}
    answer = {"description": "The answer", "content": content(answer_type, "serialization")}
    return {
        "tags": ["predictions"],
        "summary": operation_id.replace("-", " ").capitalize(),
        "description": description,
        "operationId": operation_id,
        "requestBody": {"required": True, "content": content(request_type, "validation")},
        "responses": {"200": answer} | dict.fromkeys(ERROR_STATUSES, error),
    }


def schema_of(document: dict[str, Any], kind: Any, mode: JsonSchemaMode) -> dict[str, Any]:
    """Return the JSON schema of `kind`, its definitions moved to the document's components."""
    schema = TypeAdapter(kind).json_schema(ref_template=REF, mode=mode)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schema.pop("$defs", {}))
    return schema
