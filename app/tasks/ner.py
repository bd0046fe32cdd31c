"""Named entities: token classification with exact offsets, over texts of any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.tasks.base import WHOLE, Encoded, Strict, Task, TextsRequest, by_input, softmax
from app.tasks.text import EncodedText
from app.window import Floats, Window

EXAMPLE: dict[str, Any] = {"inputs": "Angela Merkel met Tim Cook at Apple's office in Berlin."}

AggregationStrategy = Literal["none", "simple", "first", "average", "max"]


class NerParameters(Strict):
    aggregation_strategy: AggregationStrategy = Field(
        "simple",
        description="none: one entry per token. simple: neighboring tokens of one type. "
        "first, average, max: whole words, tagged by their first token, mean scores or surest token.",
    )
    ignore_labels: Annotated[list[str], Field(max_length=1000, fail_fast=True)] = Field(
        ["O"], description="Labels, or entity groups, to leave out."
    )
    stride: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        None, description="Tokens that consecutive windows of a long text share, at most half."
    )


class NerRequest(TextsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    parameters: NerParameters = NerParameters()


class Entity(TypedDict):
    entity_group: NotRequired[str]
    entity: NotRequired[str]
    index: NotRequired[int]
    score: float
    word: str
    start: int
    end: int


class Tagged(NamedTuple):
    """A token or a word with its tag: `start:end` in code points of the text as sent."""

    tag: str
    score: float
    start: int
    end: int


class Ner(Task[NerRequest, list[EncodedText]]):
    """The named entities of each text. State: the encoded texts, in order."""

    name = "token-classification"
    route = "ner"
    aliases = ("ner",)
    architecture = "ForTokenClassification"
    request_type = NerRequest
    answer_type = list[Entity] | list[list[Entity]]
    example = EXAMPLE

    def encode(self, request: NerRequest) -> Encoded[list[EncodedText]]:
        encoder = self.encoder
        texts = encoder.encode(request.texts(), overlap=request.parameters.stride, truncate=request.truncate)
        windows = [encoder.window(t.ids, piece, encoder.home_rows(piece)) for t in texts for piece in t.pieces]
        return Encoded(windows, texts)

    def decode(
        self, request: NerRequest, state: list[EncodedText], outputs: Sequence[Floats]
    ) -> list[Entity] | list[list[Entity]]:
        answers = []
        for text, rows in zip(state, by_input(outputs, (len(text.pieces) for text in state)), strict=True):
            logits: Floats = np.concatenate(rows)  # (tokens, labels): every token is at home in one piece
            answers.append(self.entities(text, softmax(logits / self.temperature), request.parameters))
        return answers if isinstance(request.inputs, list) else answers[0]

    def entities(self, text: EncodedText, scores: Floats, parameters: NerParameters) -> list[Entity]:
        offsets = text.offsets()[: len(scores)]
        if parameters.aggregation_strategy == "none":
            found = self.token_entities(text, scores, offsets)
        else:
            tagged = self.tag(text, scores, offsets, parameters.aggregation_strategy)
            found = [group_entity(text.text, group) for group in group_tags(tagged)]
        ignored = set(parameters.ignore_labels)
        return [e for e in found if (e.get("entity_group") or e.get("entity")) not in ignored]

    def token_entities(self, text: EncodedText, scores: Floats, offsets: NDArray[np.int64]) -> list[Entity]:
        """One entry per token; `index` counts from the first special token, as Hugging Face's does."""
        first = len(self.encoder.special.prefix)
        return [
            Entity(
                entity=self.manifest.labels[int(row.argmax())],
                score=float(row.max()),
                index=i + first,
                word=text.text[start:end],
                start=int(start),
                end=int(end),
            )
            for i, (row, (start, end)) in enumerate(zip(scores, offsets, strict=True))
            if start < end
        ]

    def tag(
        self, text: EncodedText, scores: Floats, offsets: NDArray[np.int64], strategy: AggregationStrategy
    ) -> list[Tagged]:
        """Tag tokens (simple) or words; tokens that cover no character, such as a single space, are left out."""
        visible = [i for i in range(len(scores)) if offsets[i, 0] < offsets[i, 1]]
        if strategy == "simple":
            units = [[i] for i in visible]
        else:
            units = [list(group) for _, group in groupby(visible, key=text.words.tolist().__getitem__)]
        return [self.tag_unit(scores[unit], offsets[unit], strategy) for unit in units]

    def tag_unit(self, scores: Floats, offsets: NDArray[np.int64], strategy: AggregationStrategy) -> Tagged:
        """Tag one word from its tokens' scores (tokens, labels)."""
        if strategy == "average":
            row = scores.mean(axis=0)
        elif strategy == "max":
            row = scores[int(scores.max(axis=1).argmax())]
        else:
            row = scores[0]
        best = int(row.argmax())
        return Tagged(self.manifest.labels[best], float(row[best]), int(offsets[0, 0]), int(offsets[-1, 1]))

    def probe(self, text: str) -> Window:
        return self.encode(NerRequest(inputs=text, truncate=True)).windows[0]


def split_tag(tag: str) -> tuple[bool, str]:
    """Return whether a tag begins an entity, and its type. A tag without B- or I- continues its own kind."""
    begins, _, kind = tag.partition("-")
    return (begins == "B", kind) if begins in ("B", "I") and kind else (False, tag)


def group_tags(tagged: Sequence[Tagged]) -> Iterator[list[Tagged]]:
    """Group neighbors of one type. B- begins a new group; an entity may begin with I-."""
    group: list[Tagged] = []
    for item in tagged:
        begins, kind = split_tag(item.tag)
        if group and (begins or kind != split_tag(group[-1].tag)[1]):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def group_entity(text: str, group: Sequence[Tagged]) -> Entity:
    """Join a group; its score is the mean of its parts', its word exactly the text between its ends."""
    start, end = group[0].start, group[-1].end
    return Entity(
        entity_group=split_tag(group[0].tag)[1],
        score=sum(item.score for item in group) / len(group),
        word=text[start:end],
        start=start,
        end=end,
    )
