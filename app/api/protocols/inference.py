"""Requests and answers of the Open Inference Protocol: a task's body in tensors, and its answers as tensors.

Everything is read off the task: of `pair` and `example` the tensors that come in, of `columns` and `cells`, which a
table of answers is made of, those that go out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Any, NamedTuple

from pydantic import Field, JsonValue
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.api.protocols.tensors import InputTensor, Kind, Name, kind_of, output
from app.api.request import Headers
from app.errors import InvalidRequestError, RequestTooLargeError, quote
from app.serving.parsing import Bounds, json_of, parse, read
from app.serving.structure import count_values
from app.tasks.asking import AnyTask, answers_of, body_of, example_input, inputs_of
from app.tasks.base import BaseTask, TaskRequest
from app.tasks.parameters import NullIs, Strict
from app.window import Floats

JSON_LENGTH = b"inference-header-content-length"
MICROSECONDS_PER_S = 1e6
TEXT, INPUT = "text", "input"  # what an input is called where its task has no word for it: a text, or JSON
# Triton's own, which mean something else here, or nothing.
REFUSED = {
    "priority": "send the header X-Priority",
    "sequence_id": "no request belongs to another; leave it out",
}


class OutputParameters(Strict):
    """What is said of an output."""

    binary_data: bool | None = Field(None, description="Whether its data follow the JSON.")


class RequestedOutput(Strict):
    """An output that is wanted."""

    name: Name
    parameters: Annotated[OutputParameters, NullIs(OutputParameters())] = OutputParameters()


class InferRequest(Strict):
    """The body. In `parameters` stand fields and parameters of the task's own body, `binary_data_output`, and `timeout`
    in microseconds."""

    id: Annotated[str, Field(max_length=256)] | None = Field(None, description="Comes back with the answer.")
    model_name: str | None = Field(None, description="The path says it.")
    model_version: str | None = Field(None, description="The path says it.")
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=8, fail_fast=True)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=64, fail_fast=True), NullIs([])] = Field(
        default_factory=list
    )
    parameters: Annotated[dict[str, JsonValue], NullIs({})] = Field(default_factory=dict)

    @property
    def is_binary(self) -> bool:
        """Whether outputs of which nothing is said are binary."""
        return self.parameters.get("binary_data_output") is True

    @property
    def timeout_s(self) -> float | None:
        """How long the answer may take, as Triton's clients say it. Raises `InvalidRequestError`."""
        timeout = self.parameters.get("timeout")
        if timeout is None:
            return None
        if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout <= 0:
            raise InvalidRequestError("parameters.timeout must be a positive whole number of microseconds")
        return timeout / MICROSECONDS_PER_S

    def options(self) -> dict[str, JsonValue]:
        """Return what is asked of the task. Raises `InvalidRequestError`."""
        for name, advice in REFUSED.items():
            if name in self.parameters:
                raise InvalidRequestError(f"parameters.{name}: {advice}")
        own = ("binary_data_output", "timeout")
        return {name: value for name, value in self.parameters.items() if name not in own}


class InferResponse(TypedDict, total=False):
    """The answer."""

    id: str
    model_name: str
    model_version: str
    outputs: list[dict[str, Any]]


class Answered(NamedTuple):
    """The model that answers, as its answers name it."""

    name: str
    version: str


class Inference:
    """The form of one answer: the outputs that were asked for, each with whether it is binary."""

    def __init__(self, asked: InferRequest, task: BaseTask[Any, Any], request: TaskRequest, by: Answered) -> None:
        self.timeout_s = asked.timeout_s
        self._asked = asked
        self._json_bytes: int | None = None  # before binary data
        self.bind(task, request, by)

    def bind(self, task: BaseTask[Any, Any], request: TaskRequest, by: Answered) -> None:
        """Have another model answer. Raises `InvalidRequestError` for an output that its task has not."""
        self._by = by
        self._columns = {name: kind_of(column) for name, column in task.columns(request).items()}
        self._outputs = outputs_of(self._asked, self._columns)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        if self._json_bytes is None:
            return [(b"content-type", b"application/json")]
        return [(b"content-type", b"application/octet-stream"), (JSON_LENGTH, b"%d" % self._json_bytes)]

    def write(self, task: BaseTask[Any, Any], request: TaskRequest, state: Any, outputs: Sequence[Floats]) -> bytes:
        """Return the answer about each input as tensors; those that are binary follow the JSON."""
        answer = task.decode(request, state, outputs)
        rows = [task.cells(each) for each in answers_of(type(task), answer)]
        tensors = [
            output(name, self._columns[name], [row[name] for row in rows], is_binary=is_binary)
            for name, is_binary in self._outputs.items()
        ]
        about: dict[str, Any] = {"model_name": self._by.name, "model_version": self._by.version}
        if self._asked.id is not None:
            about["id"] = self._asked.id
        head = to_json(about | {"outputs": [tensor.description for tensor in tensors]})
        binary = [tensor.binary for tensor in tensors if tensor.binary is not None]
        if binary:
            self._json_bytes = len(head)
        return b"".join([head, *binary])


def outputs_of(asked: InferRequest, columns: Mapping[str, Kind]) -> dict[str, bool]:
    """Return whether each requested output is binary, by name; all outputs where none is requested.

    Raises `InvalidRequestError` for an output that the task has not.
    """
    if not asked.outputs:
        return dict.fromkeys(columns, asked.is_binary)
    for each in asked.outputs:
        if each.name not in columns:
            raise InvalidRequestError(f"outputs: there is no {quote(each.name)}, but {', '.join(columns)}")
    given = {each.name: each.parameters.binary_data for each in asked.outputs}
    return {name: asked.is_binary if is_binary is None else is_binary for name, is_binary in given.items()}


def read_inference(
    body: bytes, headers: Headers, task: BaseTask[Any, Any], by: Answered, *, bounds: Bounds
) -> tuple[TaskRequest, Inference]:
    """Return what a body asks of a task, and the form of the answer.

    Raises what `app.serving.parsing.parse` does, `InvalidRequestError` for tensors that the task does not take.
    """
    head, binary = parted(body, headers)
    asked = read(head, InferRequest, bounds)
    kind = type(task)
    items = items_of(kind, texts_of(asked.inputs, binary), bounds)
    content = json_of(body_of(kind.request_type, inputs_of(kind, items), asked.options()))
    request = parse(content, kind.request_type, bounds)
    return request, Inference(asked, task, request, by)


def parted(body: bytes, headers: Headers) -> tuple[bytes, bytes]:
    """Return the JSON of a body, and the binary data after it. Raises `InvalidRequestError`."""
    given = headers.get(JSON_LENGTH)
    if given is None:
        return body, b""
    if not given.isdigit() or len(given) > 12 or int(given) > len(body):
        raise InvalidRequestError("Inference-Header-Content-Length must be the number of bytes of the JSON in the body")
    return body[: int(given)], body[int(given) :]


def texts_of(tensors: Sequence[InputTensor], binary: bytes) -> dict[str, list[str]]:
    """Return the texts of each tensor, by its name; data after the JSON are in the order of the tensors.

    Raises `InvalidRequestError`.
    """
    ends = list(accumulate((tensor.binary_size or 0 for tensor in tensors), initial=0))
    if ends[-1] != len(binary):
        raise InvalidRequestError(
            f"inputs: the binary data after the JSON have {len(binary)} bytes, and {ends[-1]} by binary_data_size; "
            "the header Inference-Header-Content-Length says where the JSON ends"
        )
    texts: dict[str, list[str]] = {}
    for tensor, (start, end) in zip(tensors, pairwise(ends), strict=True):
        if tensor.name in texts:
            tensor.refuse("is there twice")
        texts[tensor.name] = tensor.texts(None if tensor.binary_size is None else binary[start:end])
    return texts


def items_of(task: AnyTask, texts: Mapping[str, list[str]], bounds: Bounds) -> list[Any]:
    """Return the inputs that the texts of tensors make. Raises `InvalidRequestError`.

    An only tensor, whatever its name, has an input in each element: a text, or JSON where an input is an object.
    Tensors with the names of a pair's fields have a text of each pair.
    """
    if task.pair is not None and set(texts) == set(task.pair):
        first, second = (texts[name] for name in task.pair)
        if len(first) != len(second):
            raise InvalidRequestError(
                f"inputs: there are {len(first)} of {task.pair[0]} and {len(second)} of the other"
            )
        return [dict(zip(task.pair, pair, strict=True)) for pair in zip(first, second, strict=True)]
    if len(texts) > 1:
        raise InvalidRequestError(f"inputs: send {' and '.join(task.pair or ())}{' or ' * bool(task.pair)}one tensor")
    (elements,) = texts.values()
    return elements if isinstance(example_input(task), str) else [parsed(element, bounds) for element in elements]


def parsed(element: str, bounds: Bounds) -> Any:
    """Return an element that is JSON. Raises `InvalidRequestError`, or `RequestTooLargeError` where it holds much."""
    if len(element) > bounds.values and count_values(element.encode(), bounds.values) > bounds.values:
        raise RequestTooLargeError(f"inputs: an element has more than {bounds.values:,} values and fields")
    try:
        return from_json(element)
    except ValueError:
        raise InvalidRequestError("inputs: an element is not JSON; an input of this task is a JSON object") from None


def inputs_metadata(task: AnyTask) -> list[dict[str, Any]]:
    """Return the tensors that a task takes, as the metadata of a model lists them."""
    is_text = isinstance(example_input(task), str)
    names = task.pair or ((TEXT if is_text else INPUT),)
    return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in names]


def outputs_metadata(task: BaseTask[Any, Any]) -> list[dict[str, Any]]:
    """Return the tensors that a task answers with where no parameter says otherwise."""
    request = task.request_type.model_validate_json(to_json(task.example))
    kinds = {name: kind_of(column) for name, column in task.columns(request).items()}
    return [{"name": name, "datatype": kind.datatype, "shape": list(kind.shape)} for name, kind in kinds.items()]
