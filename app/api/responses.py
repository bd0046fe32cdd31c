"""What the OpenAPI document says of answers: the bodies of pages, and for each status its errors and headers."""

from __future__ import annotations

import inspect
from http import HTTPStatus
from typing import Any, Literal, NotRequired

from pydantic import BaseModel, Field, JsonValue
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app import errors
from app.api.openai_form import is_openai
from app.errors import ServeError

CODES = sorted(vars(kind)["code"] for _, kind in inspect.getmembers(errors, inspect.isclass) if "code" in vars(kind))

PROTOCOLS = "other protocols"  # the heading of their paths in the documentation

ERROR_BODY, OPENAI_ERROR_BODY = "#/components/schemas/ErrorBody", "#/components/schemas/OpenAIErrorBody"
TEXT: dict[str, Any] = {"type": "string"}


class ErrorBody(BaseModel):
    """The body of every error."""

    error: str = Field(description="What is wrong, in a sentence.")
    error_type: str = Field(json_schema_extra={"enum": list[JsonValue](CODES)})
    request_id: str = Field(description="As in the header `X-Request-Id`, for the service's log.")


class OpenAIError(BaseModel):
    """An error as OpenAI's clients read it."""

    message: str = Field(description="What is wrong, in a sentence.")
    type: Literal["invalid_request_error", "server_error"]
    param: None
    code: str


class OpenAIErrorBody(ErrorBody):
    """The body of every error below `/v1/`."""

    error: OpenAIError  # type: ignore[assignment]


class Health(TypedDict):
    """Whether something is in order, in a word, and why not."""

    status: str
    reason: NotRequired[str]


class Info(TypedDict):
    """What the service is, and its limits."""

    service: str
    version: str
    device: str
    max_inputs: int
    max_body_bytes: int
    request_timeout_s: float


class TaskInfo(Info):
    """The same, of one task, and which model answers it."""

    task: str
    model: str


class ModelInfo(BaseModel, extra="allow"):
    """A model: its state, and, where it is served, its limits, labels, scores and origin."""

    name: str
    state: Literal["ready", "failed", "unloaded"]


class Models(TypedDict):
    """What is there, which model answers each route, and what is wrong with the folder."""

    models: list[ModelInfo]
    defaults: dict[str, str]
    problems: list[str]


class OpenAIModel(TypedDict):
    """A model, as OpenAI's API has it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModels(TypedDict):
    """Models, as OpenAI's API has them."""

    object: Literal["list"]
    data: list[OpenAIModel]


def header(description: str, schema: dict[str, Any] = TEXT, *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": schema}


REQUEST_ID = {"X-Request-Id": header("The caller's, or a new one.")}
RETRY_AFTER = {"Retry-After": header("Seconds after which to try again.", {"type": "integer"}, required=False)}
PREDICTION_HEADERS = REQUEST_ID | {
    "X-Model": header("The model that answered, `name:version`."),
    "Server-Timing": header("Where the time went, in ms. Source: W3C Server Timing."),
}
HEADERS_OF: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": header("`Bearer`.")},
    415: {"Accept-Encoding": header("The codings that a body may have.", required=False)},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}


def error_responses(*kinds: type[ServeError], path: str = "") -> dict[int | str, dict[str, Any]]:
    """Return the description of each status that these errors have, as clients of `path` read them."""
    body = OPENAI_ERROR_BODY if is_openai(path) else ERROR_BODY
    return {status: error_response(status, kinds, body) for status in sorted({kind.status for kind in kinds})}


def error_response(status: int, kinds: tuple[type[ServeError], ...], body: str) -> dict[str, Any]:
    codes = {kind.code: " ".join((kind.__doc__ or "").split()) for kind in kinds if kind.status == status}
    schema = {"allOf": [{"$ref": body}, {"properties": {"error_type": {"enum": sorted(codes)}}}]}
    meanings = codes.values() if len(codes) == 1 else [f"`{code}`: {codes[code]}" for code in sorted(codes)]
    return {
        "description": " ".join([HTTPStatus(status).phrase + ".", *meanings]),
        "headers": REQUEST_ID | HEADERS_OF.get(status, {}),
        "content": {"application/json": {"schema": schema}},
    }
