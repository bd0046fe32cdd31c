"""What a task is: it makes windows of a request, and an answer of the model's outputs for them.

A task is pure: it does no I/O and knows neither asyncio nor a session. To add one, write a module in this folder that
defines a concrete `Task`, or a `SecondaryTask`, which is asked of other tasks' models. To train models for a `Task`,
write one in `training/tasks` as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import to_json

from app.bundle import MANIFEST, BundleError, Graph, Manifest, labels_of
from app.bundle.files import first_problem
from app.bundle.hub_folder import HubFolder
from app.tasks.parameters import NullIs, Parameters, Strict
from app.tasks.text import TextEncoder
from app.tasks.told import Tell
from app.window import Floats, Window


def reject_blank(text: str) -> str:
    if not text or text.isspace():
        raise ValueError("the text is empty")
    return text


# What `str.isspace` is not, for JSON schema, whose readers differ in what `\S` is.
NOT_BLANK = r"[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"

Text = Annotated[str, AfterValidator(reject_blank), Field(json_schema_extra={"minLength": 1, "pattern": NOT_BLANK})]


def branch_of(value: object) -> str | None:
    """Name the branch of `inputs` that a value belongs to, so that errors speak of no other branch."""
    if isinstance(value, str):
        return "<text>"
    return "<list>" if isinstance(value, list) else "<pair>" if isinstance(value, dict | BaseModel) else None


ONE_OR_MORE = Discriminator(
    branch_of, custom_error_type="inputs_type", custom_error_message="must be a text or a list of texts"
)
# `fail_fast` reports the first bad element; validating all of a long list takes seconds.
Texts = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("<list>")],
    ONE_OR_MORE,
]


class TaskRequest(Strict, ABC):
    """The fields that the body of every task has."""

    model: str | None = Field(None, description="Model to use: `name` or `name:version`.")
    truncate: Annotated[bool, NullIs(False)] = Field(
        False, description="Answer from the first window of a long text only."
    )
    truncation_direction: Literal["right", "Right"] | None = Field(
        None, description="Which end of a long text is cut off."
    )
    options: dict[str, Any] | None = Field(
        None, description="Hugging Face's `wait_for_model`, `use_cache` and the like, which mean nothing here."
    )
    parameters: Annotated[Parameters, NullIs(Parameters())] = Parameters()

    @property
    def truncates(self) -> bool:
        """Whether long texts are answered from their first window, of `parameters.max_length` tokens at most."""
        return self.truncate or self.parameters.truncates

    @abstractmethod
    def count_inputs(self) -> int:
        """Return the number of texts."""

    @abstractmethod
    def count_characters(self) -> int:
        """Return the number of characters to tokenize."""

    def repeats(self) -> int:
        """Return about how many windows a text is in, beside those that its length takes."""
        return 1

    def for_client(self, name: str) -> Self:
        """Return the request as it is meant by a client that calls itself so, in its header `User-Agent`."""
        return self


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
    """The windows of one request, and what the task needs to read their outputs.

    `answer_bytes` is about how much memory the outputs and the answer take, at most.
    """

    windows: list[Window]
    state: StateT
    answer_bytes: int = 0


class TaskSettings(BaseModel):
    """What a manifest keeps for its task alone, in `task_settings`; a task without such settings takes none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=TaskSettings)


def settings_of(manifest: Manifest, kind: type[SettingsT]) -> SettingsT:
    """Return what a manifest keeps for its task. Raises `BundleError` naming the field that is not valid."""
    try:
        return kind.model_validate(manifest.task_settings)
    except ValidationError as error:
        raise BundleError(f"{MANIFEST} is not valid at task_settings.{first_problem(error)}") from error


class Answered(NamedTuple):
    """The body of a request, and what a model that the repository ships answers, its numbers rounded."""

    body: dict[str, Any]
    answer: Any


class BaseTask(ABC, Generic[RequestT, StateT]):
    """One kind of question, bound to a bundle's labels and tokenizer, and to what was fitted for one of its graphs.

    What a task says of itself stands in its class attributes; no module outside `app/tasks` repeats any of it.
    """

    name: ClassVar[str]  # of Hugging Face's pipeline; manifests name the task by it
    route: ClassVar[str]  # POST /{route}
    title: ClassVar[str | None] = None  # for a person, where the route is none
    request_type: ClassVar[type[TaskRequest]]
    answer_type: ClassVar[Any]
    example: ClassVar[dict[str, Any]]  # the body of a request, for the page and the documentation
    answered: ClassVar[Answered | None] = None  # a request with its answer, for the documentation
    pair: ClassVar[tuple[str, str] | None] = None  # fields of an input of two texts; None: an input is one text
    needs_pair: ClassVar[bool] = False  # whether an input is always two texts
    priority: ClassVar[int] = 0  # is added to a request's

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        self.manifest, self.encoder = manifest, encoder
        self.tell: Tell | None = None
        self.temperature, self.thresholds = graph.temperature, graph.thresholds

    @abstractmethod
    def encode(self, request: RequestT) -> Encoded[StateT]:
        """Tokenize and cut into windows.

        Raises `InvalidRequestError` naming the field, `RequestTooLargeError` where the answer would be too large.
        """

    @abstractmethod
    def decode(self, request: RequestT, state: StateT, outputs: Sequence[Floats]) -> Any:
        """Turn the outputs, (rows, width) per window, into the answer's body.

        An iterator stands for a list, so that a long answer is never in memory as a whole. Inputs that are a list have
        one answer each, in order.
        """

    def render(self, request: RequestT, state: StateT, outputs: Sequence[Floats]) -> bytes:
        """Return the answer's body as JSON."""
        return to_json(self.decode(request, state, outputs))

    def columns(self, request: RequestT) -> dict[str, Any]:
        """Return the columns that the answers to such a request have in a table, by name, with their types."""
        return {"answer": Any}

    def cells(self, answer: Any) -> dict[str, Any]:
        """Return what the answer to one input says in each column; columns that are not asked for may be among them."""
        return {"answer": answer}

    @classmethod
    def advice(cls, manifest: Manifest) -> str | None:
        """Return what whoever runs the service should know of a bundle, in a sentence."""
        return None


class Task(BaseTask[RequestT, StateT]):
    """A task that models are trained for: a bundle is of one of them."""

    aliases: ClassVar[tuple[str, ...]] = ()  # shorter names that a person may use in a recipe or a command
    architecture: ClassVar[str | None]  # end of the class names of its checkpoints; None: no class is made for it
    is_default: ClassVar[bool] = False  # of one task: its route answers POST / too
    reads: ClassVar[Literal["rows", "window"]] = "rows"  # output rows of chosen tokens, or one vector per window
    reads_modules: ClassVar[bool] = False  # of one task: it serves folders with modules of sentence-transformers
    has_labels: ClassVar[bool] = True  # whether output columns stand for the labels of the bundle
    settings_type: ClassVar[type[TaskSettings]] = TaskSettings

    @classmethod
    def width(cls, manifest: Manifest, config: dict[str, Any]) -> int | None:
        """Return the number of columns that an output must have; None where nothing says it."""
        return len(manifest.labels) if cls.has_labels else None

    @classmethod
    def manifest_fields(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a manifest that depend on the task, as a Hugging Face config has them.

        Raises `BundleError` where the config does not say them.
        """
        return {"labels": labels_of(config)} if cls.has_labels else {}

    @classmethod
    def folder_fields(cls, folder: HubFolder) -> dict[str, Any]:
        """Return the fields of a manifest that depend on the task, as a folder without a manifest has them."""
        return cls.manifest_fields(folder.config)

    @classmethod
    def pooling_of(cls, manifest: Manifest) -> str | None:
        """Return how one vector is to be made of a window's token vectors where others made the graph.

        None: what such a graph answers is read as it is.
        """
        return None

    @classmethod
    def check(cls, manifest: Manifest) -> None:
        """Raise `BundleError` where a manifest lacks what the task needs."""
        if cls.has_labels and not manifest.labels:
            raise BundleError(f"{cls.name} needs labels")
        settings_of(manifest, cls.settings_type)
        names = set(cls.threshold_names(manifest))
        for precision, graph in manifest.graphs.items():
            if graph.thresholds is not None and graph.thresholds.keys() != names:
                expected = "those of the labels" if cls.has_labels else ", ".join(sorted(names)) or "known here"
                raise BundleError(f"the thresholds of {precision} are not {expected}")

    @classmethod
    def threshold_names(cls, manifest: Manifest) -> Collection[str]:
        """Return the names of the thresholds that a graph has, where any were fitted for it."""
        return manifest.labels

    def told_labels(self) -> Sequence[str]:
        """Return the labels that `tell` is told of; none where answers of the task are not counted."""
        return ()

    @abstractmethod
    def probe(self, text: str) -> Window:
        """Return the first window of `text`, with every row that the task would ask for."""


class SecondaryTask(BaseTask[RequestT, StateT]):
    """Another question to the models of other tasks: it has no models of its own, and reads what theirs answer."""

    models_of: ClassVar[tuple[str, ...]]  # names of tasks

    @classmethod
    def reason_against(cls, manifest: Manifest) -> str | None:
        """Return why a bundle of one of those tasks cannot answer, as the end of a sentence; None where it can."""
        return None


def by_input(outputs: Sequence[Floats], windows: Iterable[int]) -> Iterator[Sequence[Floats]]:
    """Yield the outputs of each input in turn; `windows` are the numbers of windows that the inputs have."""
    start = 0
    for count in windows:
        yield outputs[start : start + count]
        start += count


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Softmax over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities
