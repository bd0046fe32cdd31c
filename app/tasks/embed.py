"""Embeddings: a vector for each text, or for each of its tokens, near to those of texts that mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import orjson
from pydantic import ConfigDict, Field, model_validator

from app.bundle import Graph, Manifest
from app.bundle.hub_folder import HubFolder
from app.bundle.sentence_modules import POOLINGS
from app.errors import InvalidRequestError, quote
from app.tasks.base import Answered, Encoded, Task, TaskSettings, TextsRequest, by_input, settings_of
from app.tasks.parameters import WHOLE, NullIs, Parameters
from app.tasks.pausing import pause
from app.tasks.text import EncodedText, Piece, TextEncoder
from app.tasks.vectors import as_json, as_lists, in_base64, join, normalized
from app.window import Floats, Ints, Window

EXAMPLE: dict[str, Any] = {"inputs": "A warm, funny and beautifully acted film."}
NO_ROWS = np.empty(0, np.int64)  # the graph answers a row for each window, whatever its tokens
MOST_PROMPTS, MOST_PROMPT = 100, 4096  # of a bundle; characters of one
FLOAT_BYTES, NUMBER_BYTES = 4, 13  # of an output; of a number as JSON
TEXT_BYTES = 64  # of what is kept for each text beside its vector
VALUES_AT_ONCE = 2**14  # that are rendered in less than a millisecond

# How a window's token vectors become one: their mean, the first, the last, the greatest of each column, their sum over
# the root of their number, or a mean in which the n-th counts n times. Several are joined by a plus sign: their vectors
# stand one after the other. `tokens`: not at all.
WAYS = "(mean|first|last|max|mean_sqrt_len|weighted_mean)"
Pooling = Annotated[str, Field(pattern=rf"^(tokens|{WAYS}(\+{WAYS})*)$", max_length=100)]
EncodingFormat = Literal["float", "base64"]


class EmbedSettings(TaskSettings):
    """What a manifest says of an embedding model."""

    dimensions: int = Field(ge=1, le=2**20, description="Numbers of a vector, as the graph answers it.")
    pooling: Pooling = Field("mean", description="How the graph makes one vector of those of a window's tokens.")
    trained_pooling: Pooling | None = Field(
        None, description="The pooling that the checkpoint was trained with; None: nothing says it."
    )
    normalize: bool = Field(
        True, description="Whether vectors are brought to length 1, unless a request says otherwise."
    )
    is_normalized: bool = Field(False, description="Whether the graph itself brings them to length 1.")
    prompts: dict[str, Annotated[str, Field(max_length=MOST_PROMPT)]] = Field(
        default_factory=dict, max_length=MOST_PROMPTS, description="What is put before a text, by the prompt's name."
    )
    default_prompt: str | None = Field(None, description="Name of the prompt that is used where a request names none.")
    lowercase: bool = Field(False, description="Whether texts are put into lower case before they are tokenized.")

    @model_validator(mode="after")
    def check_default_prompt(self) -> Self:
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            raise ValueError(f"the default prompt {self.default_prompt[:80]!r} is not among the prompts")
        return self


class EmbedParameters(Parameters):
    normalize: bool | None = Field(None, description="Bring vectors to length 1. Null: as the bundle says.")
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Keep the first numbers of each vector only; they are normalized after that."
    )
    prompt_name: str | None = Field(
        None, description="Which of the bundle's prompts is put before each text. Null: its default prompt."
    )
    pooling: Annotated[str, Field(max_length=100)] | None = Field(
        None,
        description="What the bundle's pooling is expected to be, by our name or that of sentence-transformers; "
        "another is an error.",
    )
    encoding_format: EncodingFormat | None = Field(
        None, description="`base64`: the bytes of little-endian float32 numbers. Null: float."
    )


class EmbedRequest(TextsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    truncation_direction: Literal["right", "Right", "left", "Left"] | None = Field(  # type: ignore[assignment]
        None, description="Which end of a long text is cut off, where it is truncated."
    )
    normalize: bool | None = Field(None, description="As in `parameters`, before which it goes.")
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = Field(None, description="As in `parameters`.")
    prompt_name: str | None = Field(None, description="As in `parameters`.")
    pooling: Annotated[str, Field(max_length=100)] | None = Field(None, description="As in `parameters`.")
    encoding_format: EncodingFormat | None = Field(None, description="As in `parameters`.")
    parameters: Annotated[EmbedParameters, NullIs(EmbedParameters())] = EmbedParameters()

    @property
    def asked(self) -> EmbedParameters:
        """The parameters, with what is said beside them."""
        beside = {
            "normalize": self.normalize,
            "dimensions": self.dimensions,
            "prompt_name": self.prompt_name,
            "pooling": self.pooling,
            "encoding_format": self.encoding_format,
        }
        given = {name: value for name, value in beside.items() if value is not None}
        return self.parameters.model_copy(update=given) if given else self.parameters

    @property
    def cuts_left(self) -> bool:
        return self.truncation_direction in ("left", "Left")


@dataclass(frozen=True, slots=True)
class EmbedState:
    """What was asked for, and the number of tokens in each window of each text."""

    asked: EmbedParameters
    lengths: list[list[int]]


class Embed(Task[EmbedRequest, EmbedState]):
    """A vector for each text; where the bundle does not pool, one for each token, special tokens included.

    A text of several windows is answered by the mean of their vectors, weighted by tokens.
    """

    name = "feature-extraction"
    route = "embed"
    aliases = ("embed", "embedding", "embeddings")
    architecture = "Model"
    reads = "window"
    reads_modules = True
    has_labels = False
    settings_type = EmbedSettings
    request_type = EmbedRequest
    answer_type = list[list[float]] | list[list[list[float]]] | list[str]
    example = EXAMPLE
    answered = Answered({"inputs": "The soup was cold.", "dimensions": 4}, [[-0.6063, 0.199, 0.1926, 0.7455]])

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        super().__init__(manifest, encoder, graph)
        self.settings = settings_of(manifest, EmbedSettings)

    @classmethod
    def width(cls, manifest: Manifest, config: dict[str, Any]) -> int | None:
        return settings_of(manifest, EmbedSettings).dimensions

    @classmethod
    def manifest_fields(cls, config: dict[str, Any]) -> dict[str, Any]:
        return cls.folder_fields(HubFolder(config, {}))

    @classmethod
    def folder_fields(cls, folder: HubFolder) -> dict[str, Any]:
        """A folder without modules is pooled by the mean, as sentence-transformers does it, and not normalized."""
        settings: dict[str, Any] = {"dimensions": folder.dimensions, "normalize": False}
        if (modules := folder.modules) is not None:
            settings |= {
                "pooling": modules.pooling,
                "trained_pooling": modules.pooling,
                "normalize": modules.normalize,
                "is_normalized": modules.normalize and not folder.has_token_vectors,
                "prompts": dict(modules.prompts),
                "default_prompt": modules.default_prompt,
                "lowercase": modules.lowercase,
            }
        return {"task_settings": settings}

    @classmethod
    def pooling_of(cls, manifest: Manifest) -> str | None:
        return settings_of(manifest, EmbedSettings).pooling

    @classmethod
    def advice(cls, manifest: Manifest) -> str | None:
        settings = settings_of(manifest, EmbedSettings)
        trained, pooling = settings.trained_pooling, settings.pooling
        if trained is None:
            return (
                f"nothing says which pooling the model was trained with, and its vectors are pooled by {pooling}; "
                "serve a folder that has modules.json"
            )
        if trained == pooling:
            return None
        return f"vectors are pooled by {pooling}, and the model was trained with {trained}; export it with that"

    def encode(self, request: EmbedRequest) -> Encoded[EmbedState]:
        asked = self.check_asked(request.asked)
        texts = self.encode_texts(request, asked)
        groups = [[self.window(text, number) for number in range(len(text.pieces))] for text in texts]
        windows = [window for group in groups for window in group]
        state = EmbedState(asked, [[len(window) for window in group] for group in groups])
        rows = sum(max(1, len(window.head_rows)) for window in windows)
        size = rows * self.settings.dimensions * (FLOAT_BYTES + NUMBER_BYTES) + TEXT_BYTES * len(texts)
        return Encoded(windows, state, size)

    def check_asked(self, asked: EmbedParameters) -> EmbedParameters:
        """Return what was asked for. Raises `InvalidRequestError` where this bundle does not have it."""
        settings = self.settings
        if asked.pooling is not None and POOLINGS.get(asked.pooling, asked.pooling) != settings.pooling:
            raise InvalidRequestError(
                f"pooling: {self.manifest.name} has {settings.pooling}, which is in its graph and not of a request; "
                f"for {quote(asked.pooling)}, export the checkpoint with that pooling, as another bundle"
            )
        if asked.dimensions is not None and asked.dimensions > settings.dimensions:
            raise InvalidRequestError(f"dimensions: the vectors of {self.manifest.name} have {settings.dimensions}")
        if asked.normalize is False and settings.is_normalized:
            raise InvalidRequestError(f"normalize: the graph of {self.manifest.name} normalizes its vectors itself")
        if asked.prompt_name is not None and asked.prompt_name not in settings.prompts:
            known = ", ".join(map(quote, sorted(settings.prompts))) or "no prompts"
            raise InvalidRequestError(f"prompt_name: {self.manifest.name} has {known}")
        return asked

    def encode_texts(self, request: EmbedRequest, asked: EmbedParameters) -> list[EncodedText]:
        """Tokenize texts with their prompt, and cut them into windows."""
        truncates, length = request.truncates, request.parameters.max_length
        prepared = [self.prepared(text, asked) for text in request.texts()]
        if not truncates or not request.cuts_left:
            return self.encoder.encode(prepared, truncate=truncates, max_length=length, with_offsets=False)
        capacity = self.encoder.capacity - max(0, self.encoder.max_length - (length or self.encoder.max_length))
        texts = self.encoder.encode(prepared, with_offsets=False)
        for text in texts:
            end = len(text.ids)
            start = max(0, end - capacity)
            text.pieces[:] = [Piece(start, end, start, end)]
        return texts

    def prepared(self, text: str, asked: EmbedParameters) -> str:
        """Return a text as it is tokenized: its prompt before it, and in lower case where the model was trained so."""
        settings = self.settings
        name = asked.prompt_name or settings.default_prompt
        whole = text if name is None else settings.prompts[name] + text
        return whole.lower() if settings.lowercase else whole

    def window(self, text: EncodedText, number: int) -> Window:
        """Make one of a text's windows. Without pooling, each token is a row of one window only."""
        piece = text.pieces[number]
        if self.settings.pooling != "tokens":
            return self.encoder.window(text.ids, piece, NO_ROWS)
        return self.encoder.window(text.ids, piece, self.rows_of(text, number))

    def rows_of(self, text: EncodedText, number: int) -> Ints:
        """Return the tokens that a window answers: those at home in it, and special tokens at the ends of a text."""
        special, rows = self.encoder.special, self.encoder.home_rows(text.pieces[number])
        if number == 0:
            rows = np.arange(len(special.prefix) + text.pieces[0].home_end)
        if number == len(text.pieces) - 1:
            end = rows[-1] + 1 if len(rows) else len(special.prefix)
            rows = np.concatenate([rows, np.arange(end, end + len(special.suffix))])
        return rows

    def decode(self, request: EmbedRequest, state: EmbedState, outputs: Sequence[Floats]) -> Iterator[Any]:
        """Yield the answer to each text: numbers, a list of numbers for each token, or base64."""
        for vectors in self.blocks(state, outputs):
            if state.asked.encoding_format == "base64":
                yield from map(in_base64, vectors)
            else:
                yield from as_lists(vectors)

    def render(self, request: EmbedRequest, state: EmbedState, outputs: Sequence[Floats]) -> bytes:
        """Each number has as many digits as tell it from every other float32."""
        parts = []
        for vectors in self.blocks(state, outputs):
            pause()
            if state.asked.encoding_format == "base64":
                parts.append(orjson.dumps(list(map(in_base64, vectors)))[1:-1])
            else:
                parts.append(as_json(vectors))
        return b"[" + b",".join(parts) + b"]"

    def blocks(self, state: EmbedState, outputs: Sequence[Floats]) -> Iterator[Floats]:
        """Yield the vectors of some texts after the other: (texts, dimensions), or of one (1, tokens, dimensions)."""
        texts = by_input(outputs, map(len, state.lengths))
        if self.settings.pooling == "tokens":
            for rows in texts:
                yield self.finish(np.concatenate(rows), state.asked)[None]
            return
        most = max(1, VALUES_AT_ONCE // self.settings.dimensions)
        for start in range(0, len(state.lengths), most):
            lengths = state.lengths[start : start + most]
            joined = [join(next(texts), counts) for counts in lengths]
            yield self.finish(np.stack(joined), state.asked)

    def finish(self, vectors: Floats, asked: EmbedParameters) -> Floats:
        """Cut (N, width) vectors to the dimensions that are asked for, and normalize them."""
        kept = vectors[:, : asked.dimensions]
        if not (self.settings.normalize if asked.normalize is None else asked.normalize):
            return np.ascontiguousarray(kept)
        return normalized(kept)

    def columns(self, request: EmbedRequest) -> dict[str, Any]:
        if request.asked.encoding_format == "base64":
            return {"embedding": str}
        return {"embedding": list[list[float]] if self.settings.pooling == "tokens" else list[float]}

    def cells(self, answer: Any) -> dict[str, Any]:
        return {"embedding": answer}

    def probe(self, text: str) -> Window:
        return self.encode(EmbedRequest(inputs=text, truncate=True)).windows[0]
