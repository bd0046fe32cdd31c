"""Text classification: single-label, multi-label and regression, of texts and text pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.bundle import problem_type_of
from app.errors import InvalidRequestError, RequestTooLargeError
from app.tasks.base import ONE_OR_MORE, Answered, Encoded, Task, TaskRequest, Text, branch_of, by_input
from app.tasks.hub_clients import classifying_method
from app.tasks.parameters import WHOLE, NullIs, Parameters, Strict
from app.tasks.pausing import pause
from app.tasks.text import EncodedPair, EncodedText, TextEncoder
from app.tasks.told import NOTHING, Tell, tell_best, tell_reached
from app.window import Floats, Window

EXAMPLE: dict[str, Any] = {"inputs": "A warm, funny and beautifully acted film."}
MOST_SCORES = 2**18  # of one answer
NUMBER_BYTES, SCORE_BYTES = 4, 64  # of a logit; of a label with its score as JSON
PAUSE_EVERY = 64  # texts
FIRST_TOKEN = np.zeros(1, np.int64)

FunctionToApply = Literal["softmax", "sigmoid", "none"]


class TextPair(Strict):
    """A text, or a pair of texts."""

    text: Text
    text_pair: Text | None = None


Listed = Annotated[list[Text], Field(min_length=1, max_length=2, fail_fast=True, description="A text, or a pair.")]
Input = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[TextPair, Tag("<pair>")] | Annotated[Listed, Tag("<list>")],
    Discriminator(
        branch_of,
        custom_error_type="inputs_type",
        custom_error_message='must be a text, {"text", "text_pair"} or a list of two texts',
    ),
]
Texts = str | tuple[str, str]  # one text, or a pair


class ClassifyParameters(Parameters):
    top_k: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Keep the best labels only. Null: all of them."
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Keep labels with at least this score; 0 keeps all. Null: a multi-label bundle keeps those that "
        "reach their own threshold, fitted in training, unless top_k or function_to_apply is given.",
    )
    function_to_apply: FunctionToApply | None = Field(
        None,
        description="From logits to scores. Null: softmax, sigmoid for multi-label, none for regression.",
    )
    return_all_scores: bool | None = Field(
        None,
        description="Hugging Face's older word for `top_k`, which goes before it: true is null and also keeps what "
        "is under a threshold, false is 1.",
    )

    @property
    def most_labels(self) -> int | None:
        """How many labels are kept; None: all."""
        return 1 if self.top_k is None and self.return_all_scores is False else self.top_k

    @property
    def keeps_all(self) -> bool:
        """Whether thresholds of the bundle do not count."""
        asked = (self.top_k, self.function_to_apply, self.return_all_scores)
        return any(each is not None for each in asked)


class TextsOrPairsRequest(TaskRequest):
    """The body of a task that takes texts and pairs of texts."""

    inputs: Annotated[
        Annotated[Text, Tag("<text>")]
        | Annotated[TextPair, Tag("<pair>")]
        | Annotated[list[Input], Field(min_length=1, fail_fast=True), Tag("<list>")],
        ONE_OR_MORE,
    ]

    def items(self) -> list[Texts]:
        if isinstance(self.inputs, str):
            return [self.inputs]
        return [texts_of(each) for each in self.inputs] if isinstance(self.inputs, list) else [texts_of(self.inputs)]

    def count_inputs(self) -> int:
        return len(self.inputs) if isinstance(self.inputs, list) else 1

    def count_characters(self) -> int:
        return sum(len(item) if isinstance(item, str) else sum(map(len, item)) for item in self.items())


class ClassifyRequest(TextsOrPairsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    parameters: Annotated[ClassifyParameters, NullIs(ClassifyParameters())] = ClassifyParameters()
    raw_scores: bool | None = Field(
        None,
        description="Text Embeddings Inference's word for `function_to_apply`, which goes before it: true is none.",
    )

    @property
    def asked(self) -> ClassifyParameters:
        """The parameters, with what is said beside them."""
        if not self.raw_scores or self.parameters.function_to_apply is not None:
            return self.parameters
        return self.parameters.model_copy(update={"function_to_apply": "none"})

    def for_client(self, name: str) -> Self:
        if self.count_inputs() > 1 and (method := classifying_method(name)) is not None:
            raise InvalidRequestError(
                f"inputs: {method} returns the answer to the first text alone; give it one text at a time, or send the "
                "list with another client"
            )
        return self


def texts_of(item: str | TextPair | list[str]) -> Texts:
    """Return the text or the pair of one input."""
    if isinstance(item, str):
        return item
    texts = item if isinstance(item, list) else [item.text, *([] if item.text_pair is None else [item.text_pair])]
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


class LabelScore(TypedDict):
    label: str
    score: float


class Classify(Task[ClassifyRequest, list[list[int]]]):
    """Labels with scores for each text or pair."""

    # Its state: for each input, the number of tokens in each of its windows.
    name = "text-classification"
    route = "classify"
    aliases = ("classification",)
    architecture = "ForSequenceClassification"
    is_default = True
    request_type = ClassifyRequest
    answer_type = list[list[LabelScore]]
    example = EXAMPLE
    answered = Answered(EXAMPLE, [[{"label": "positive", "score": 0.9895}, {"label": "negative", "score": 0.0105}]])
    pair = ("text", "text_pair")

    @classmethod
    def manifest_fields(cls, config: dict[str, Any]) -> dict[str, Any]:
        return super().manifest_fields(config) | {"problem_type": problem_type_of(config)}

    def encode(self, request: ClassifyRequest) -> Encoded[list[list[int]]]:
        encoder = self.encoder
        groups: list[list[Window]] = []
        for item in encode_items(encoder, request, with_offsets=False):
            if isinstance(item, EncodedText):
                groups.append([encoder.window(item.ids, piece, FIRST_TOKEN) for piece in item.pieces])
            else:
                groups.append([encoder.pair_window(item, piece, FIRST_TOKEN) for piece in item.pieces])
        windows = [window for group in groups for window in group]
        scores = self.check_scores(len(groups), request.asked)
        answer_bytes = NUMBER_BYTES * len(self.manifest.labels) * len(windows) + SCORE_BYTES * scores
        return Encoded(windows, [[len(window) for window in group] for group in groups], answer_bytes)

    def check_scores(self, inputs: int, parameters: ClassifyParameters) -> int:
        """Return how many scores are answered at most. Raises `RequestTooLargeError` where they are too many."""
        labels = len(self.manifest.labels)
        scores = inputs * min(labels, parameters.most_labels or labels)
        if scores > MOST_SCORES:
            raise RequestTooLargeError(
                f"the answer would have {scores:,} scores, at most {MOST_SCORES:,} are sent; "
                "ask for fewer texts at once, or a lower top_k"
            )
        return scores

    def decode(
        self, request: ClassifyRequest, state: list[list[int]], outputs: Sequence[Floats]
    ) -> Iterator[list[LabelScore]]:
        parameters = request.asked
        for number, (lengths, parts) in enumerate(zip(state, by_input(outputs, map(len, state)), strict=True)):
            if number % PAUSE_EVERY == 0:
                pause()
            logits = parts[0] if len(parts) == 1 else np.concatenate(parts)  # (windows, labels)
            pooled = self.pool(logits, lengths).tolist()
            if self.tell is not None:
                self.tell_answer(pooled, self.tell)
            yield self.rank(pooled, parameters)

    def told_labels(self) -> Sequence[str]:
        return () if self.manifest.problem_type == "regression" else (NOTHING, *self.manifest.labels)

    def tell_answer(self, logits: list[float], tell: Tell) -> None:
        """Tell what a text is, whatever the request wants to see: the best label, or all that reach their thresholds.

        A label without a threshold reaches it at a half.
        """
        labels = self.manifest.labels
        if self.default_function == "softmax":
            return tell_best(tell, labels, logits, self.temperature)
        least = self.thresholds or dict.fromkeys(labels, 0.5)
        return tell_reached(tell, zip(labels, self.apply(logits, "sigmoid"), strict=True), least)

    @classmethod
    def columns(cls, request: ClassifyRequest) -> dict[str, Any]:
        best = {"label": str, "score": float}
        return best if request.parameters.most_labels == 1 else best | {"labels": list[LabelScore]}

    def cells(self, answer: list[LabelScore]) -> dict[str, Any]:
        """The best label is in columns of its own; they are empty where no label reaches its threshold."""
        best = answer[0] if answer else {"label": None, "score": None}
        return {**best, "labels": answer}

    def pool(self, logits: Floats, lengths: list[int]) -> Floats:
        """Combine the windows of one text, (windows, labels) -> (labels,), as the manifest says.

        A mean is weighted by tokens, so that a short window counts for less.
        """
        if self.manifest.pooling == "first" or len(lengths) == 1:
            first: Floats = logits[0]
            return first
        if self.manifest.pooling == "max":
            greatest: Floats = logits.max(axis=0)
            return greatest
        return np.average(logits, axis=0, weights=lengths).astype(np.float32)

    def rank(self, logits: list[float], parameters: ClassifyParameters) -> list[LabelScore]:
        """Return the labels to answer with, best first. Plain floats: for a handful, numpy's calls cost more."""
        scores = self.apply(logits, parameters.function_to_apply or self.default_function)
        order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[: parameters.most_labels]
        least, labels = self.least_scores(parameters), self.manifest.labels
        return [LabelScore(label=labels[i], score=scores[i]) for i in order if scores[i] >= least[i]]

    def least_scores(self, parameters: ClassifyParameters) -> Sequence[float]:
        """Return the score from which on each label is part of the answer."""
        labels = self.manifest.labels
        if parameters.threshold is not None:
            return [parameters.threshold] * len(labels)
        if self.thresholds is None or parameters.keeps_all:
            return [-math.inf] * len(labels)
        return [self.thresholds[label] for label in labels]

    def apply(self, logits: list[float], function: FunctionToApply) -> list[float]:
        if function == "none":
            return logits
        if function == "sigmoid":
            return [sigmoid(logit / self.temperature) for logit in logits]
        greatest = max(logits)
        exponents = [math.exp((logit - greatest) / self.temperature) for logit in logits]
        total = sum(exponents)
        return [exponent / total for exponent in exponents]

    @property
    def default_function(self) -> FunctionToApply:
        if self.manifest.problem_type == "regression":
            return "none"
        multi_label = self.manifest.problem_type == "multi_label_classification" or len(self.manifest.labels) == 1
        return "sigmoid" if multi_label else "softmax"

    def probe(self, text: str) -> Window:
        return self.encode(ClassifyRequest(inputs=text, truncate=True)).windows[0]


def encode_items(
    encoder: TextEncoder, request: TextsOrPairsRequest, *, with_offsets: bool
) -> list[EncodedText | EncodedPair]:
    """Tokenize texts and pairs, and cut those that are too long for one window.

    Raises what `TextEncoder` raises, and `InvalidRequestError` for a truncation that pairs do not have.
    """
    items, truncate, length = request.items(), request.truncates, request.parameters.max_length
    single = [item for item in items if isinstance(item, str)]
    paired = [item for item in items if not isinstance(item, str)]
    if paired and request.parameters.truncation == "only_first":
        raise InvalidRequestError("parameters.truncation: of a pair, the longer text is cut; send true")
    texts = iter(encoder.encode(single, truncate=truncate, max_length=length, with_offsets=with_offsets))
    pairs = iter(
        encoder.encode_pairs(paired, truncate=truncate, max_length=length, with_offsets=with_offsets) if paired else ()
    )
    return [next(texts) if isinstance(item, str) else next(pairs) for item in items]


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)), without overflow at either end."""
    exponent = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else exponent) / (1.0 + exponent)
