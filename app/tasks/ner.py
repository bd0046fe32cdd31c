"""Named entities: token classification with exact offsets, over texts of any length."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, tee
from operator import itemgetter
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.bundle import Graph, Manifest
from app.errors import InvalidRequestError
from app.tasks.base import Answered, Encoded, Task, TaskRequest, by_input, softmax
from app.tasks.offsets import OffsetUnit, positions
from app.tasks.parameters import WHOLE, NullIs, Parameters
from app.tasks.pausing import pause
from app.tasks.schemes import OUTSIDE, Mark, goes_on, read_labels
from app.tasks.split_words import TextsOrWords, with_words
from app.tasks.text import EncodedText, TextEncoder
from app.tasks.told import NOTHING, telling
from app.tasks.words import number_words
from app.window import Floats, Window

EXAMPLE: dict[str, Any] = {"inputs": "Angela Merkel met Tim Cook at Apple's office in Berlin."}

NUMBER_BYTES, TOKEN_BYTES = 4, 192  # of a logit; of a token with its offsets, and of an entity as JSON

AggregationStrategy = Literal["none", "simple", "first", "average", "max"]


class NerParameters(Parameters):
    aggregation_strategy: AggregationStrategy | None = Field(
        None,
        description="none: one entry per token. simple, the default: neighboring tokens of one type. "
        "first, average, max: whole words, tagged by their first token, mean scores or surest token.",
    )
    grouped_entities: bool | None = Field(
        None,
        description="Hugging Face's older word for `aggregation_strategy`, which goes before it: true is simple, false "
        "none.",
    )
    ignore_labels: Annotated[list[str], Field(max_length=1000, fail_fast=True), NullIs(["O"])] = Field(
        ["O"], description="Labels, or entity groups, to leave out."
    )
    stride: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        None, description="Tokens that consecutive windows of a long text share, at most half."
    )
    is_split_into_words: Annotated[bool, NullIs(False)] = Field(
        False,
        description="Whether `inputs` is the list of one text's words. A list of such lists is understood without it.",
    )
    delimiter: Annotated[str, Field(max_length=16), NullIs(" ")] = Field(
        " ", description="What stands between words that come as a list; offsets are those of the joined text."
    )
    offset_unit: Annotated[OffsetUnit, NullIs("code_point")] = Field(
        "code_point",
        description="What `start` and `end` count: code_point, as Python does; utf16, as JavaScript, Java and C# do; "
        "utf8, bytes as in Go, Rust and PHP.",
    )

    @property
    def strategy(self) -> AggregationStrategy:
        return self.aggregation_strategy or ("none" if self.grouped_entities is False else "simple")


class NerRequest(TaskRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    inputs: TextsOrWords
    parameters: Annotated[NerParameters, NullIs(NerParameters())] = NerParameters()

    def items(self) -> list[str | list[str]]:
        """Return each text, or the list of its words."""
        if isinstance(self.inputs, str):
            return [self.inputs]
        return [self.words] if self.words else list(self.inputs)

    @property
    def words(self) -> list[str]:
        """The words of the only text, where `inputs` is the list of them; else none."""
        if not self.parameters.is_split_into_words or isinstance(self.inputs, str):
            return []
        words = [word for word in self.inputs if isinstance(word, str)]
        return words if len(words) == len(self.inputs) else []

    @property
    def is_one(self) -> bool:
        """Whether the answer is that of one text, not a list of answers."""
        return isinstance(self.inputs, str) or bool(self.words)

    def texts(self) -> list[str]:
        join = self.parameters.delimiter.join
        return [item if isinstance(item, str) else join(item) for item in self.items()]

    def count_inputs(self) -> int:
        return 1 if self.is_one else len(self.inputs)

    def count_characters(self) -> int:
        return sum(map(len, self.texts()))


class Entity(TypedDict):
    entity_group: NotRequired[str]
    entity: NotRequired[str]
    index: NotRequired[int]
    score: float
    word: str
    start: int
    end: int


class Token(NamedTuple):
    """A token of a text, `start:end` in code points, with its best column and the scores (labels,) of all."""

    position: int
    start: int
    end: int
    best: int
    score: float
    scores: Floats


class Tagged(NamedTuple):
    """A token or a word with what its label says: `start:end` in code points of the text as sent."""

    mark: Mark
    score: float
    start: int
    end: int
    word: int


class Ner(Task[NerRequest, list[EncodedText]]):
    """The named entities of each text."""

    # Its state: the encoded texts, in order.
    name = "token-classification"
    route = "ner"
    title = "Named entities"
    aliases = ("ner",)
    architecture = "ForTokenClassification"
    request_type = NerRequest
    answer_type = list[Entity] | list[list[Entity]]
    example = EXAMPLE
    answered = Answered(
        {"inputs": "Angela Merkel met Tim Cook in Berlin."},
        [
            {"entity_group": "PER", "score": 0.9948, "word": "Angela Merkel", "start": 0, "end": 13},
            {"entity_group": "PER", "score": 0.9939, "word": "Tim Cook", "start": 18, "end": 26},
            {"entity_group": "LOC", "score": 0.9769, "word": "Berlin", "start": 30, "end": 36},
        ],
    )

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        super().__init__(manifest, encoder, graph)
        self.marks = read_labels(manifest.labels)
        self.outside = {label for label, mark in zip(manifest.labels, self.marks, strict=True) if mark.place == "O"}
        self.has_words = bool(getattr(encoder.tokenizer.model, "continuing_subword_prefix", None))

    def encode(self, request: NerRequest) -> Encoded[list[EncodedText]]:
        encoder, parameters = self.encoder, request.parameters
        if parameters.is_split_into_words and isinstance(request.inputs, str):
            raise InvalidRequestError("inputs: must be a list of words where is_split_into_words is true")
        texts = encoder.encode(
            request.texts(),
            overlap=parameters.stride,
            truncate=request.truncates,
            max_length=parameters.max_length,
        )
        texts = [
            text if isinstance(item, str) else with_words(text, item, parameters.delimiter)
            for text, item in zip(texts, request.items(), strict=True)
        ]
        windows = [encoder.window(t.ids, piece, encoder.home_rows(piece)) for t in texts for piece in t.pieces]
        row_bytes = NUMBER_BYTES * len(self.manifest.labels) + TOKEN_BYTES
        return Encoded(windows, texts, row_bytes * sum(len(window.head_rows) for window in windows))

    def decode(self, request: NerRequest, state: list[EncodedText], outputs: Sequence[Floats]) -> Iterator[Any]:
        parts = by_input(outputs, (len(text.pieces) for text in state))
        answers = (self.entities(*each, request.parameters) for each in zip(state, parts, strict=True))
        return next(answers) if request.is_one else answers

    @classmethod
    def columns(cls, request: NerRequest) -> dict[str, Any]:
        return {"entities": list[Entity]}

    def cells(self, answer: Iterator[Entity]) -> dict[str, Any]:
        return {"entities": list(answer)}

    def entities(self, text: EncodedText, parts: Sequence[Floats], parameters: NerParameters) -> Iterator[Entity]:
        """Yield what is found, window by window; `parts` are (tokens, labels): every token is at home in one."""
        tokens, ignored = self.tokens(text, parts), set(parameters.ignore_labels)
        kept: Iterator[Entity]
        if parameters.strategy == "none":
            kept = (each for each in self.token_entities(text, tokens) if not self.is_ignored(each["entity"], ignored))
        else:
            tagged = self.tag(text, tokens, parameters.strategy)
            found: Iterator[Entity] = (group_entity(text.text, group) for group in group_tags(tagged))
            if self.tell is not None:
                found = telling(found, self.tell)
            kept = (each for each in found if each["entity_group"] not in ignored)
        if (starts := positions(text.text, parameters.offset_unit)) is None:
            return kept
        return ({**each, "start": int(starts[each["start"]]), "end": int(starts[each["end"]])} for each in kept)

    def is_ignored(self, label: str, ignored: Collection[str]) -> bool:
        """Whether a token's label is left out; `O` leaves out what is outside of entities, however it is written."""
        return label in ignored or (OUTSIDE in ignored and label in self.outside)

    def tokens(self, text: EncodedText, parts: Sequence[Floats]) -> Iterator[Token]:
        """Yield tokens with their scores; those that cover no character, such as a single space, are left out."""
        offsets, first = text.offsets(), 0
        for part in parts:
            pause()
            scores = softmax(part / self.temperature)  # (tokens, labels)
            places = offsets[first : first + len(scores)].tolist()
            bests = zip(scores.argmax(axis=1).tolist(), scores.max(axis=1).tolist(), strict=True)
            for at, ((start, end), (best, score)) in enumerate(zip(places, bests, strict=True)):
                if start < end:
                    yield Token(first + at, start, end, best, score, scores[at])
            first += len(scores)

    def token_entities(self, text: EncodedText, tokens: Iterator[Token]) -> Iterator[Entity]:
        """Yield one entry per token; `index` counts from the first special token, as Hugging Face's does."""
        first, labels = len(self.encoder.special.prefix), self.manifest.labels
        for position, start, end, best, score, _ in tokens:
            word = text.text[start:end]
            yield Entity(entity=labels[best], score=score, index=position + first, word=word, start=start, end=end)

    def tag(self, text: EncodedText, tokens: Iterator[Token], strategy: AggregationStrategy) -> Iterator[Tagged]:
        """Tag tokens (simple) or words."""
        if strategy == "simple":
            return self.tag_tokens(text, tokens)
        return (self.tag_word(list(word), strategy) for word in self.words(text, tokens))

    def tag_tokens(self, text: EncodedText, tokens: Iterator[Token]) -> Iterator[Tagged]:
        for position, start, end, best, score, _ in tokens:
            mark = self.marks[best]
            yield Tagged(mark, score, start, end, text.words[position] if mark.ends else -1)

    def words(self, text: EncodedText, tokens: Iterator[Token]) -> Iterator[Iterator[Token]]:
        """Yield the tokens of each word: those of the caller, or of the tokenizer where it marks what continues one."""
        listed, again = tee(tokens)
        numbers: Iterator[int]
        if self.has_words or text.are_words_given:
            numbers = (int(text.words[token.position]) for token in again)
        else:
            numbers = number_words(text.text, (token.start for token in again))
        for _, word in groupby(zip(numbers, listed, strict=True), key=itemgetter(0)):
            yield (token for _, token in word)

    def tag_word(self, tokens: Sequence[Token], strategy: AggregationStrategy) -> Tagged:
        """Tag one word from its tokens' scores."""
        if strategy == "average":
            row = np.mean([token.scores for token in tokens], axis=0)
        elif strategy == "max":
            row = max(tokens, key=lambda token: token.score).scores
        else:
            row = tokens[0].scores
        best = int(row.argmax())
        return Tagged(self.marks[best], float(row[best]), tokens[0].start, tokens[-1].end, tokens[0].position)

    def told_labels(self) -> Sequence[str]:
        kinds = dict.fromkeys(mark.kind for mark in self.marks)
        return (NOTHING, *(kind for kind in kinds if kind != OUTSIDE))

    def probe(self, text: str) -> Window:
        return self.encode(NerRequest(inputs=text, truncate=True)).windows[0]


def group_tags(tagged: Iterable[Tagged]) -> Iterator[list[Tagged]]:
    """Group neighbors of one entity."""
    group: list[Tagged] = []
    for item in tagged:
        if group and not goes_on(group[-1].mark, item.mark, in_one_word=group[-1].word == item.word):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def group_entity(text: str, group: Sequence[Tagged]) -> Entity:
    """Join a group; its score is the mean of its parts', its word exactly the text between its ends."""
    start, end = group[0].start, group[-1].end
    return Entity(
        entity_group=group[0].mark.kind,
        score=sum(item.score for item in group) / len(group),
        word=text[start:end],
        start=start,
        end=end,
    )
