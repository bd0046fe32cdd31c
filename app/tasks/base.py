"""What a task is: a request type, windows out of a request, an answer out of the model's outputs.

A task is pure: no I/O, no asyncio, no session. To add one, write a module like its neighbors, name it in
`app.tasks.TASKS`, and give `training.encoders.heads` its head; the engine and the runtime stay as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from app.bundle import Graph, Manifest, TaskName
from app.tasks.text import TextEncoder
from app.window import Floats, Window


def reject_blank(text: str) -> str:
    if not text or text.isspace():
        raise ValueError("the text is empty")
    return text


Text = Annotated[str, AfterValidator(reject_blank)]


def branch_of(value: object) -> str | None:
    """Name the branch of `inputs` that a value belongs to, so that an error speaks of that branch alone."""
    if isinstance(value, str):
        return "<text>"
    return "<list>" if isinstance(value, list) else "<pair>" if isinstance(value, dict | BaseModel) else None


ONE_OR_MORE = Discriminator(
    branch_of, custom_error_type="inputs_type", custom_error_message="must be a text or a list of texts"
)
# Of a list the first fault is named; to look for all of them in a long one would take seconds.
Texts = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("<list>")],
    ONE_OR_MORE,
]


class Strict(BaseModel):
    """An unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskRequest(Strict, ABC):
    """The fields that the body of every task has."""

    model: str | None = Field(None, description="Bundle to use: `name` or `name:version`.")
    truncate: bool = Field(False, description="Answer from the first window of a long text only.")

    @abstractmethod
    def count_inputs(self) -> int:
        """Return the number of texts."""

    @abstractmethod
    def count_characters(self) -> int:
        """Return the number of characters to tokenize."""


class TextsRequest(TaskRequest):
    """The body of a task that takes texts."""

    inputs: Texts

    def texts(self) -> list[str]:
        return self.inputs if isinstance(self.inputs, list) else [self.inputs]

    def count_inputs(self) -> int:
        return len(self.texts())

    def count_characters(self) -> int:
        return sum(map(len, self.texts()))


RequestT = TypeVar("RequestT", bound=TaskRequest)
StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class Encoded(Generic[StateT]):
    """The windows of one request, and what the task needs to read their outputs."""

    windows: list[Window]
    state: StateT


class Task(ABC, Generic[RequestT, StateT]):
    """One kind of question, bound to a bundle's labels and tokenizer, and to what was fitted for one of its graphs."""

    name: ClassVar[TaskName]
    route: ClassVar[str]
    request_type: ClassVar[type[TaskRequest]]
    answer_type: ClassVar[Any]

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        self.manifest, self.encoder = manifest, encoder
        self.temperature, self.thresholds = graph.temperature, graph.thresholds

    @abstractmethod
    def encode(self, request: RequestT) -> Encoded[StateT]:
        """Tokenize and cut into windows.

        Raises `InvalidRequestError` naming the field, `RequestTooLargeError` where the answer would be too large.
        """

    @abstractmethod
    def decode(self, request: RequestT, state: StateT, outputs: Sequence[Floats]) -> Any:
        """Turn the outputs, (rows, width) per window, into the answer's body."""

    @abstractmethod
    def probe(self, text: str) -> Window:
        """Return the first window of `text`, with every row that the task would ask for."""


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Softmax over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities
