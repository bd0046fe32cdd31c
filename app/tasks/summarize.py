"""Extractive summaries: the sentences of a text that are nearest to the whole of it, and unlike each other.

Nothing is generated: an encoder does not write. Source: maximal marginal relevance (Carbonell and Goldstein 1998).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.errors import RequestTooLargeError
from app.tasks.base import Answered, Encoded, TextsRequest
from app.tasks.embed import EmbedRequest, EmbedState
from app.tasks.of_embeddings import OfEmbeddings
from app.tasks.parameters import WHOLE, NullIs, Parameters
from app.tasks.pausing import pause
from app.tasks.sentences import sentences_of
from app.window import Floats

EXAMPLE: dict[str, Any] = {
    "inputs": "The soup was cold. Our waiter was kind, though. He brought us new soup at once. It was cold as well.",
    "parameters": {"sentences": 2},
}
MOST_SENTENCES = 1024  # of all texts of a request
SENTENCES = 3  # where a request says neither how many nor which share
NEARNESS = 0.7  # weight of being near to the text; the rest is that of being unlike what is chosen
DIGITS = 7  # of a score after the point
NOT_GENERATED = "nothing is generated here; say how much of the text to keep by `sentences` or `ratio`"


class SummarizeParameters(Parameters):
    sentences: Annotated[int, Field(ge=1), WHOLE] | None = Field(None, description="How many sentences to keep.")
    ratio: float | None = Field(None, gt=0, le=1, description="Which share of the sentences to keep, in their place.")
    max_length: None = Field(None, description="Hugging Face's length of what is generated, which is refused.")
    min_length: None = Field(None, description="As `max_length`.")
    generate_parameters: None = Field(None, description="Hugging Face's parameters of generation, which are refused.")
    clean_up_tokenization_spaces: bool | None = Field(None, description="Hugging Face's, which means nothing here.")

    @field_validator("max_length", "min_length", "generate_parameters", mode="before")
    @classmethod
    def refuse(cls, value: JsonValue) -> JsonValue:
        if value is not None:
            raise ValueError(NOT_GENERATED)
        return None

    @model_validator(mode="after")
    def check_one(self) -> SummarizeParameters:
        if self.sentences is not None and self.ratio is not None:
            raise ValueError("sentences and ratio say the same in two ways; send one of them")
        return self

    def count(self, sentences: int) -> int:
        """Return how many of so many sentences are kept."""
        if self.ratio is not None:
            return max(1, math.ceil(self.ratio * sentences))
        return min(sentences, self.sentences or SENTENCES)


class SummarizeRequest(TextsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    parameters: Annotated[SummarizeParameters, NullIs(SummarizeParameters())] = SummarizeParameters()


class Sentence(TypedDict):
    """A sentence as it stands between `start` and `end` of the text, and its cosine with the whole text."""

    text: str
    start: int
    end: int
    score: float


class Summary(TypedDict):
    """Sentences in the order of the text, and the same joined by spaces."""

    summary_text: str
    sentences: list[Sentence]


@dataclass(frozen=True, slots=True)
class SummarizeState:
    """The places of the sentences of each text, and what is known of the vectors."""

    spans: list[list[tuple[int, int]]]
    vectors: EmbedState


class Summarize(OfEmbeddings[SummarizeRequest, SummarizeState]):
    """The sentences of each text that say most of it: near to the whole, unlike each other, in their order.

    Nothing is generated. A text of one sentence is its own summary.
    """

    name = "summarization"
    route = "summarize"
    request_type = SummarizeRequest
    answer_type = list[Summary]
    example = EXAMPLE
    answered = Answered(
        EXAMPLE,
        [
            {
                "summary_text": "The soup was cold. He brought us new soup at once.",
                "sentences": [
                    {"text": "The soup was cold.", "start": 0, "end": 18, "score": 0.8467},
                    {"text": "He brought us new soup at once.", "start": 48, "end": 79, "score": 0.7171},
                ],
            }
        ],
    )

    def encode(self, request: SummarizeRequest) -> Encoded[SummarizeState]:
        texts, spans = request.texts(), []
        for text in texts:
            pause()
            spans.append(list(sentences_of(text)))
        if (count := sum(map(len, spans))) > MOST_SENTENCES:
            raise RequestTooLargeError(f"inputs have {count:,} sentences; at most {MOST_SENTENCES:,} are taken at once")
        asked = [part for text, places in zip(texts, spans, strict=True) for part in (text, *parts(text, places))]
        encoded = self.embed.encode(EmbedRequest(inputs=asked, truncate=request.truncates, normalize=True))
        return Encoded(encoded.windows, SummarizeState(spans, encoded.state), encoded.answer_bytes)

    def decode(self, request: SummarizeRequest, state: SummarizeState, outputs: Sequence[Floats]) -> Iterator[Summary]:
        vectors, start = np.concatenate(list(self.embed.blocks(state.vectors, outputs))), 0  # (texts, width)
        for text, spans in zip(request.texts(), state.spans, strict=True):
            pause()
            end = start + 1 + len(spans)
            yield summary_of(text, spans, vectors[start:end].astype(np.float64), request.parameters.count(len(spans)))
            start = end

    def columns(self, request: SummarizeRequest) -> dict[str, Any]:
        return {"summary_text": str, "sentences": list[Sentence]}

    def cells(self, answer: Summary) -> dict[str, Any]:
        return {**answer}


def parts(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def summary_of(text: str, spans: Sequence[tuple[int, int]], vectors: Any, count: int) -> Summary:
    """Return a summary of `count` sentences; `vectors` (1 + sentences, width) are of length 1, the text's first."""
    nearness = np.clip(vectors[1:] @ vectors[0], -1, 1)  # (sentences,)
    chosen = choose(nearness, vectors[1:] @ vectors[1:].T, count)
    sentences = [
        Sentence(text=text[start:end], start=start, end=end, score=round(float(nearness[i]), DIGITS))
        for i in chosen
        for start, end in (spans[i],)
    ]
    return Summary(summary_text=" ".join(sentence["text"] for sentence in sentences), sentences=sentences)


def choose(nearness: Any, likeness: Any, count: int) -> list[int]:
    """Return `count` sentences in their order, chosen one after the other by maximal marginal relevance.

    `nearness` (sentences,) is to the text, `likeness` (sentences, sentences) to each other.
    """
    chosen = [int(np.argmax(nearness))]
    while len(chosen) < count:
        gain = NEARNESS * nearness - (1 - NEARNESS) * likeness[:, chosen].max(axis=1)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
    return sorted(chosen)
