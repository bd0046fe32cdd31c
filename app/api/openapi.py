"""The OpenAPI document of the prediction routes, from the tasks' own request and answer types."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from app.tasks import TASKS
from app.tasks.base import Task

REF = "#/components/schemas/{model}"
ERROR_STATUSES = ("400", "401", "404", "413", "415", "422", "429", "500", "503", "504")


class ErrorBody(BaseModel):
    """The body of every error."""

    error: str
    error_type: str
    request_id: str


def install_openapi(app: FastAPI, default_route: str) -> None:
    """Make `app.openapi()` describe bodies that the routes read themselves."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            for task in TASKS.values():
                describe_task(document, f"/{task.route}", task)
                if task.route == default_route:
                    describe_task(document, "/", task)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def describe_task(document: dict[str, Any], path: str, task: type[Task[Any, Any]]) -> None:
    operation = document["paths"][path]["post"]
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": schema_of(document, task.request_type, "validation")}},
    }
    answer = schema_of(document, task.answer_type, "serialization")
    operation["responses"]["200"]["content"] = {"application/json": {"schema": answer}}
    error = {"application/json": {"schema": schema_of(document, ErrorBody, "serialization")}}
    for status in ERROR_STATUSES:
        operation["responses"][status] = {"description": "Error", "content": error}


def schema_of(document: dict[str, Any], kind: Any, mode: JsonSchemaMode) -> dict[str, Any]:
    """Return the JSON schema of `kind`, its definitions moved to the document's components."""
    schema = TypeAdapter(kind).json_schema(ref_template=REF, mode=mode)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schema.pop("$defs", {}))
    return schema
