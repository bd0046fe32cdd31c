"""Writes docs/api.md from the OpenAPI document: python -m docs.api"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.main import create_app
from app.settings import Settings

INTRODUCTION = """# API

Every route, made from the OpenAPI document by `python -m docs.api`. A running service shows the same at `/docs` and `/redoc`, with a form to try each, and at `/openapi.json`; its page at `/` writes the request as curl, Python or JavaScript. [requests.md](requests.md) says what fields mean together, and how bodies of other services and clients are understood; [reference.md](reference.md) has the errors of other routes too, and [models.md](models.md#how-a-reload-is-started) the bodies of administration.

Bodies are JSON in UTF-8. `GET` routes answer `HEAD` too. Where keys are configured, send `Authorization: Bearer KEY`.
"""  # noqa: E501
PAGES = "status"
JSON = "application/json"

Object = dict[str, Any]


def document() -> Object:
    """Return the OpenAPI document of a service that asks for keys."""
    app = create_app(Settings(models=Path("models"), api_keys=["a-key"]))
    return app.openapi()


class Reference:
    """The page, section by section."""

    def __init__(self, described: Object) -> None:
        self._described = described
        self._operations = [
            (method.upper(), path, operation)
            for path, operations in described["paths"].items()
            for method, operation in operations.items()
        ]

    def text(self) -> str:
        sections = [INTRODUCTION, *self._shared(), *self._routes(), *self._pages()]
        return "\n".join(sections)

    def _shared(self) -> Iterator[str]:
        """Yield what all predictions have in common, which is said once."""
        operation = self._described["paths"]["/"]["post"]
        yield "## Headers and errors of predictions\n"
        yield table(
            ("header of the request", "values", "meaning"),
            [
                (f"`{each['name']}`", kind(each["schema"]), each["description"])
                for each in operation["parameters"]
                if each["in"] == "header"
            ],
        )
        headers = {
            name: header for answer in operation["responses"].values() for name, header in answer["headers"].items()
        }
        yield table(
            ("header of the answer", "meaning"), [(f"`{name}`", each["description"]) for name, each in headers.items()]
        )
        rows = []
        for status, answer in operation["responses"].items():
            if status != "200":
                codes = answer["content"][JSON]["schema"]["allOf"][1]["properties"]["error_type"]["enum"]
                rows.append(
                    (status, ", ".join(f"`{code}`" for code in codes), answer["description"].partition(". ")[2])
                )
        yield table(("status", "`error_type`", "meaning"), rows)

    def _routes(self) -> Iterator[str]:
        yield "## Predictions\n"
        for method, path, operation in self._operations:
            if method == "POST" and "predictions" in operation["tags"]:
                yield from self._route(path, operation)

    def _route(self, path: str, operation: Object) -> Iterator[str]:
        body = operation["requestBody"]["content"][JSON]
        schema = self._resolved(body["schema"])
        yield f"### `POST {path}`\n"
        yield f"{' '.join(operation['description'].split())}\n"
        if path == "/":
            yield "The same as the default task's own route, which is below.\n"
        elif "properties" in schema:
            yield from self._example(body, operation)
            yield table(("field", "values", "meaning"), self._fields(schema))

    def _example(self, body: Object, operation: Object) -> Iterator[str]:
        request = body.get("example", (body["schema"].get("examples") or [None])[0])
        if request is None:
            return
        answer = operation["responses"]["200"]["content"][JSON].get("example")
        shown = [json.dumps(request, ensure_ascii=False), *([] if answer is None else [f"-> {json.dumps(answer)}"])]
        yield "\n".join(["```text", *shown, "```\n"])

    def _fields(self, schema: Object) -> Iterator[tuple[str, ...]]:
        """Yield the fields of a body, and those of its parameters."""
        for name, field in schema["properties"].items():
            inner = next((each for each in map(self._resolved, branches(field)) if "properties" in each), None)
            if name == "parameters" and inner is not None:
                for each, parameter in inner["properties"].items():
                    yield self._row(f"parameters.{each}", parameter, inner)
            else:
                yield self._row(name, field, schema)

    def _row(self, name: str, field: Object, owner: Object) -> tuple[str, ...]:
        meaning = field.get("description", "")
        if name.rpartition(".")[2] in owner.get("required", ()):
            meaning = f"Required. {meaning}".strip()
        elif (default := field.get("default")) is not None and not isinstance(default, dict):
            meaning = f"{meaning} Default: `{json.dumps(default)}`.".strip()
        return f"`{name}`", self._kind(field), meaning

    def _kind(self, schema: Object) -> str:
        kinds = [kind(self._resolved(each)) for each in branches(schema)]
        return " or ".join(dict.fromkeys(each for each in kinds if each != "null"))

    def _pages(self) -> Iterator[str]:
        for tag, heading, said in (
            (PAGES, "Status", "what it answers"),
            ("other protocols", "Other protocols", "what it answers"),
            ("admin", "Administration", "what it does, for a key with the scope `admin`"),
        ):
            rows = [
                (f"`{method} {path}`", " ".join((operation.get("description") or "").split()))
                for method, path, operation in self._operations
                if tag in operation.get("tags", ())
            ]
            yield f"## {heading}\n"
            yield table(("route", said), rows)

    def _resolved(self, schema: Object) -> Object:
        if (reference := schema.get("$ref")) is None:
            return schema
        found: Object = self._described["components"]["schemas"][reference.rpartition("/")[2]]
        return found


def branches(schema: Object) -> Iterator[Object]:
    """Yield the alternatives of a schema."""
    for name in ("anyOf", "oneOf"):
        if name in schema:
            for each in schema[name]:
                yield from branches(each)
            return
    yield schema


def kind(schema: Object) -> str:
    """Return what a value may be, in a word or two."""
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(each)}`" for each in schema.get("enum", [schema.get("const")]))
    if "properties" in schema:
        return f"object of {', '.join(f'`{name}`' for name in schema['properties'])}"
    bounds = [f"{word} {schema[name]}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in schema]
    return " ".join([{"array": "list"}.get(schema.get("type", "any"), schema.get("type", "any")), *bounds])


def table(headings: tuple[str, ...], rows: Any) -> str:
    """Return a table in Markdown."""
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines) + "\n"


def page() -> str:
    """Return docs/api.md."""
    return Reference(document()).text()


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
