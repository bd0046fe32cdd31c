"""Zero-shot classification: which of the caller's labels fit a text, as a model of entailment judges.

A text is the premise, and the hypothesis is a sentence made of each label. Scores are those of transformers'
`ZeroShotClassificationPipeline`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.bundle import Graph, Manifest
from app.tasks.base import (
    NOT_BLANK,
    Encoded,
    SecondaryTask,
    TextsRequest,
    branch_of,
    by_input,
    reject_blank,
    softmax,
)
from app.tasks.classify import FIRST_TOKEN, NUMBER_BYTES, SCORE_BYTES, Classify, LabelScore
from app.tasks.hub_clients import version_of_hub_client
from app.tasks.parameters import NullIs, Parameters
from app.tasks.pausing import pause
from app.tasks.text import TextEncoder
from app.window import Floats

EXAMPLE: dict[str, Any] = {
    "inputs": "My parcel has not arrived yet, and nobody answers the phone.",
    "parameters": {"candidate_labels": ["delivery", "refund", "praise"]},
}
ENTAILMENT = "entail"  # how the label begins, in capitals or not
PLACE = "{}"  # of a label in a template
SOME_LABEL = NOT_BLANK.replace("[^", "[^,", 1)  # for JSON schema
MOST_LABELS, MOST_CHARACTERS = 500, 1000  # of one request; of a label, and of a template
MOST_NAMED = 20  # labels of a model in an error
CHARACTER_BYTES = 2  # of a text or a label in the answer
FIRST_OF_ENTRIES = (1, 1, 5)  # the version of huggingface_hub since which it reads entries, not two lists


def check_labels(labels: list[str]) -> list[str]:
    if not labels:
        raise ValueError("has no label")
    if len(labels) > MOST_LABELS:
        raise ValueError(f"has {len(labels)} labels; at most {MOST_LABELS} are taken at once")
    if len(set(labels)) < len(labels):
        twice = next(label for number, label in enumerate(labels) if label in labels[:number])
        raise ValueError(f"has {twice[:80]!r} twice")
    return labels


def check_template(template: str) -> str:
    if PLACE not in template:
        raise ValueError(f"has no {PLACE}, where the label is to stand")
    return template


def split_labels(text: str) -> str:
    """Check the labels of a text that parts them by commas."""
    check_labels(labels_in(text))
    return text


def labels_in(text: str) -> list[str]:
    return [label for part in text.split(",") if (label := part.strip())]


Label = Annotated[
    str,
    Field(max_length=MOST_CHARACTERS, json_schema_extra={"minLength": 1, "pattern": NOT_BLANK}),
    AfterValidator(reject_blank),
]
Labels = Annotated[
    Annotated[
        str,
        Field(max_length=MOST_LABELS * MOST_CHARACTERS, json_schema_extra={"pattern": SOME_LABEL}),
        AfterValidator(split_labels),
        Tag("<text>"),
    ]
    | Annotated[
        list[Label],
        Field(min_length=1, max_length=MOST_LABELS, fail_fast=True, json_schema_extra={"uniqueItems": True}),
        AfterValidator(check_labels),
        Tag("<list>"),
    ],
    Discriminator(
        branch_of,
        custom_error_type="labels_type",
        custom_error_message="must be a list of labels, or a text with commas between them",
    ),
]


class ZeroShotParameters(Parameters):
    candidate_labels: Labels = Field(description="What a text may be about: a list, or a text with commas between.")
    hypothesis_template: Annotated[
        str,
        Field(max_length=MOST_CHARACTERS, json_schema_extra={"pattern": r"\{\}"}),
        AfterValidator(check_template),
        NullIs("This example is {}."),
    ] = Field(
        "This example is {}.", description="The sentence that a label is put into, at `{}`, for the model to judge."
    )
    multi_label: Annotated[bool, NullIs(False)] = Field(
        False,
        description="Whether several labels may fit: each is scored by itself, entailment against contradiction. "
        "Else the scores of all labels add up to 1.",
    )
    answer: Literal["list", "object"] | None = Field(
        None,
        description='list: `{"label", "score"}` for each label. object: `{"sequence", "labels", "scores"}`, as '
        "transformers' pipeline answers. Null: list, but object for versions of huggingface_hub that read no other.",
    )

    @property
    def labels(self) -> list[str]:
        given = self.candidate_labels
        return labels_in(given) if isinstance(given, str) else given


class ZeroShotRequest(TextsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    parameters: ZeroShotParameters

    def hypotheses(self) -> list[str]:
        template = self.parameters.hypothesis_template
        return [template.replace(PLACE, label) for label in self.parameters.labels]

    def count_characters(self) -> int:
        return super().count_characters() + sum(map(len, self.hypotheses()))

    def repeats(self) -> int:
        return len(self.parameters.labels)

    def for_client(self, name: str) -> Self:
        version = version_of_hub_client(name)
        if self.parameters.answer is not None or version is None or version >= FIRST_OF_ENTRIES:
            return self
        parameters = self.parameters.model_copy(update={"answer": "object"})
        return self.model_copy(update={"parameters": parameters})


class LabelsAndScores(TypedDict):
    sequence: str
    labels: list[str]
    scores: list[float]


OneAnswer = list[LabelScore] | LabelsAndScores


class ZeroShot(SecondaryTask[ZeroShotRequest, list[list[int]]]):
    """How well each of the caller's labels fits each text."""

    # Its state: for each pair, the tokens of each of its windows.
    name = "zero-shot-classification"
    route = "zero-shot"
    models_of = (Classify.name,)
    request_type = ZeroShotRequest
    answer_type = list[LabelScore] | LabelsAndScores | list[OneAnswer]
    example = EXAMPLE

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        super().__init__(manifest, encoder, graph)
        self.judge = Classify(manifest, encoder, graph)
        self.entailment = entailment_of(manifest.labels)

    @classmethod
    def reason_against(cls, manifest: Manifest) -> str | None:
        if entailment_of(manifest.labels) is not None:
            return None
        named = ", ".join(manifest.labels[:MOST_NAMED]) + (", ..." if len(manifest.labels) > MOST_NAMED else "")
        return f"has no label that begins with {ENTAILMENT!r}; its labels are {named}"

    def encode(self, request: ZeroShotRequest) -> Encoded[list[list[int]]]:
        texts, labels = request.texts(), request.parameters.labels
        special = self.encoder.special
        self.encoder.texts.check(len(texts) * len(labels) * (special.of_pair + 1))
        pairs = self.encoder.encode_pairs(
            [(text, hypothesis) for text in texts for hypothesis in request.hypotheses()],
            cut_side="first",
            fields=("the text", "the hypothesis of a label"),
            truncate=request.truncates,
            max_length=request.parameters.max_length,
            with_offsets=False,
        )
        groups = [[self.encoder.pair_window(pair, piece, FIRST_TOKEN) for piece in pair.pieces] for pair in pairs]
        windows = [window for group in groups for window in group]
        lengths = [[len(window) for window in group] for group in groups]
        characters = sum(map(len, texts)) + len(texts) * sum(map(len, labels))
        answer_bytes = CHARACTER_BYTES * characters + SCORE_BYTES * len(pairs)
        return Encoded(windows, lengths, answer_bytes + NUMBER_BYTES * len(self.manifest.labels) * len(windows))

    def decode(self, request: ZeroShotRequest, state: list[list[int]], outputs: Sequence[Floats]) -> Any:
        answers = self.answers(request, state, outputs)
        return answers if isinstance(request.inputs, list) else next(answers)

    def answers(
        self, request: ZeroShotRequest, state: list[list[int]], outputs: Sequence[Floats]
    ) -> Iterator[OneAnswer]:
        """Yield the answer of each text; the pairs of one text follow each other, in the order of the labels."""
        labels = request.parameters.labels
        pooled = (
            self.judge.pool(np.concatenate(parts), lengths)
            for lengths, parts in zip(state, by_input(outputs, map(len, state)), strict=True)
        )
        for text in request.texts():
            pause()
            logits = np.stack([next(pooled) for _ in labels]).astype(np.float64)  # (candidates, labels of the model)
            scores = self.scores(logits, request.parameters.multi_label)
            order = np.argsort(-scores, kind="stable").tolist()
            named, ranked = [labels[i] for i in order], scores[order].tolist()
            if request.parameters.answer == "object":
                yield LabelsAndScores(sequence=text, labels=named, scores=ranked)
            else:
                yield [LabelScore(label=each, score=score) for each, score in zip(named, ranked, strict=True)]

    @classmethod
    def columns(cls, request: ZeroShotRequest) -> dict[str, Any]:
        return {"label": str, "score": float, "labels": list[LabelScore]}

    def cells(self, answer: OneAnswer) -> dict[str, Any]:
        """The best label is in columns of its own."""
        if isinstance(answer, dict):
            pairs = zip(answer["labels"], answer["scores"], strict=True)
            answer = [LabelScore(label=label, score=score) for label, score in pairs]
        return {**answer[0], "labels": answer}

    def scores(self, logits: np.ndarray[Any, np.dtype[np.float64]], multi_label: bool) -> Floats:
        """Return the scores (candidates,) of logits (candidates, labels of the model).

        A bundle's temperature was fitted for scores of its own labels, which these are not.
        """
        entailment = self.entailment
        assert entailment is not None
        if multi_label or len(logits) == 1:
            contradiction = -1 if entailment == 0 else 0  # as transformers has it
            chosen: Floats = softmax(logits[:, [contradiction, entailment]])[:, 1]
            return chosen
        return softmax(logits[:, entailment])


def entailment_of(labels: Sequence[str]) -> int | None:
    """Return the index of the label that says that a hypothesis follows; None where no label does."""
    return next((i for i, label in enumerate(labels) if label.lower().startswith(ENTAILMENT)), None)
