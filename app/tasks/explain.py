"""Explanations: how much each word of a text adds to the score of a label or of an entity.

Words are masked in many ways, all in one request to the model; what each adds is computed as `app.tasks.partition`
says.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, NotRequired, cast

import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.bundle import Graph, Manifest
from app.errors import InvalidRequestError
from app.tasks.base import Answered, Encoded, SecondaryTask, by_input
from app.tasks.classify import FIRST_TOKEN, Classify, FunctionToApply, TextsOrPairsRequest, encode_items
from app.tasks.fill_mask import mask_token_of
from app.tasks.masking import Masked, Word, words_and_views
from app.tasks.ner import Ner
from app.tasks.offsets import OffsetUnit, positions
from app.tasks.parameters import WHOLE, NullIs, Parameters
from app.tasks.partition import Values, best_plan
from app.tasks.pausing import pause
from app.tasks.schemes import OUTSIDE
from app.tasks.targets import MOST_ENTITIES, Target, entity_targets, label_targets
from app.tasks.text import EncodedPair, EncodedText, Piece, TextEncoder
from app.window import Floats, Ints

EXAMPLE: dict[str, Any] = {"inputs": "A warm, funny and beautifully acted film."}
MOST_PASSES = 2048
USUAL_PASSES, USUAL_TOKENS, LEAST_OF_WINDOW = 128, 16_384, 8  # where a request names no number
MOST_NAMED = 20  # labels of a model in an error
FIELDS: tuple[Literal["text"], Literal["text_pair"]] = ("text", "text_pair")
NUMBER_BYTES, WORD_BYTES = 12, 128  # of a logit, with its score; of a word as JSON


class ExplainParameters(Parameters):
    labels: Annotated[list[str], Field(min_length=1, max_length=100, fail_fast=True)] | None = Field(
        None, description="Labels to explain the scores of, or groups of entities. Null: the best of all."
    )
    top_k: Annotated[int, Field(ge=1, le=100), WHOLE] | None = Field(
        None,
        description="How many labels or entities are explained, the best. Null: the best label, or the "
        f"{MOST_ENTITIES} surest entities; all of `labels` where they are given.",
    )
    forward_passes: Annotated[int, Field(ge=2, le=MOST_PASSES), WHOLE] | None = Field(
        None,
        description=f"How many windows may run for each text. Null: {USUAL_PASSES}, fewer where windows are long, but "
        f"{LEAST_OF_WINDOW} for each window that the text has.",
    )
    function_to_apply: FunctionToApply | None = Field(
        None, description="From logits to the scores of labels that are explained; as of classification."
    )
    offset_unit: Annotated[OffsetUnit, NullIs("code_point")] = Field(
        "code_point", description="What `start` and `end` count: code_point, utf16 or utf8."
    )


class ExplainRequest(TextsOrPairsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    parameters: Annotated[ExplainParameters, NullIs(ExplainParameters())] = ExplainParameters()

    def repeats(self) -> int:
        return self.parameters.forward_passes or USUAL_PASSES


class WordScore(TypedDict):
    word: str
    start: int
    end: int
    score: Annotated[float, Field(json_schema_extra={"x-signed": True})]  # the page draws a heat map of it
    text: NotRequired[Literal["text", "text_pair"]]


class Explanation(TypedDict):
    label: NotRequired[str]
    entity_group: NotRequired[str]
    word: NotRequired[str]
    start: NotRequired[int]
    end: NotRequired[int]
    score: float
    base_value: float
    sum: float
    gap: float
    words: list[WordScore]


class Explained(TypedDict):
    method: Literal["owen"]
    contexts: int
    groups: int
    forward_passes: int
    explanations: list[Explanation]


class Explain(SecondaryTask[ExplainRequest, list[Masked]]):
    """What each word adds to the score of a label, or of an entity."""

    # Its state: the inputs with what is masked of them.
    name = "explanation"
    route = "explain"
    models_of = (Classify.name, Ner.name)
    priority = -5
    request_type = ExplainRequest
    answer_type = Explained | list[Explained]
    example = EXAMPLE
    answered = Answered(
        {"inputs": "A warm film."},
        {
            **{"method": "owen", "contexts": 2, "groups": 4, "forward_passes": 12},
            "explanations": [
                {
                    **{"label": "positive", "score": 0.9889, "base_value": 0.3567, "sum": 0.6322, "gap": 0.0},
                    "words": [
                        {"word": "A", "start": 0, "end": 1, "score": 0.1196},
                        {"word": "warm", "start": 2, "end": 6, "score": 0.3782},
                        {"word": "film", "start": 7, "end": 11, "score": 0.1278},
                        {"word": ".", "start": 11, "end": 12, "score": 0.0066},
                    ],
                }
            ],
        },
    )
    pair = Classify.pair

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        super().__init__(manifest, encoder, graph)
        kind = Ner if manifest.task == Ner.name else Classify
        self.asked: Ner | Classify = kind(manifest, encoder, graph)
        self.mask_id: int | None = None
        with suppress(ValueError):
            self.mask_id = mask_token_of(encoder)[1]

    def encode(self, request: ExplainRequest) -> Encoded[list[Masked]]:
        if self.mask_id is None:
            raise InvalidRequestError(
                f"model: the tokenizer of {self.manifest.name} has no mask token to put in the place of words"
            )
        self.check_labels(request.parameters.labels)
        encoded = encode_items(self.encoder, request, with_offsets=True)
        if isinstance(self.asked, Ner) and any(isinstance(item, EncodedPair) for item in encoded):
            raise InvalidRequestError(f"inputs: {self.manifest.name} takes texts, not pairs")
        inputs = [self.masked(item, request) for item in encoded]
        windows = self.encoder.bounded(window for each in inputs for window in each.windows(self.mask_id))
        numbers = len(self.manifest.labels) * sum(len(window.head_rows) for window in windows)
        targets = request.parameters.top_k or max(MOST_ENTITIES, len(request.parameters.labels or ()))
        words = sum(len(each.words) for each in inputs)
        return Encoded(windows, inputs, NUMBER_BYTES * numbers + WORD_BYTES * targets * words)

    def check_labels(self, labels: Sequence[str] | None) -> None:
        """Raise `InvalidRequestError` for a label that the model does not have."""
        known = self.manifest.labels
        if isinstance(self.asked, Ner):
            known = list(dict.fromkeys(mark.kind for mark in self.asked.marks if mark.place != OUTSIDE))
        for number, label in enumerate(labels or ()):
            if label not in known:
                named = ", ".join(known[:MOST_NAMED])
                raise InvalidRequestError(f"parameters.labels.{number}: is none of the model's, which are {named}")

    def rows(self, piece: Piece) -> Ints:
        """Return the tokens for which a window answers: of entities, all those that it is home to."""
        return self.encoder.home_rows(piece) if isinstance(self.asked, Ner) else FIRST_TOKEN

    def masked(self, item: EncodedText | EncodedPair, request: ExplainRequest) -> Masked:
        """Plan what is masked of an input. Raises `InvalidRequestError` where it takes more passes than it may."""
        words, views = words_and_views(self.encoder, item, self.rows)
        usual = min(USUAL_PASSES, USUAL_TOKENS // max(len(view.window) for view in views))
        budget = request.parameters.forward_passes or max(usual, LEAST_OF_WINDOW * len(views))
        if budget < 2 * len(views):
            raise InvalidRequestError(
                f"parameters.forward_passes: a text of {len(views)} windows takes {2 * len(views)} at least; "
                "ask for more, or truncate"
            )
        plan = best_plan(len(words), [view.bits for view in views], budget)
        return Masked.of(item, words, views, plan)

    def decode(self, request: ExplainRequest, state: list[Masked], outputs: Sequence[Floats]) -> Any:
        parts = by_input(outputs, (each.plan.passes for each in state))
        answers = (self.explained(*each, request.parameters) for each in zip(state, parts, strict=True))
        return answers if isinstance(request.inputs, list) else next(answers)

    @classmethod
    def columns(cls, request: ExplainRequest) -> dict[str, Any]:
        return {"explanations": list[Explanation]}

    def cells(self, answer: Explained) -> dict[str, Any]:
        return {"explanations": answer["explanations"]}

    def explained(self, masked: Masked, outputs: Sequence[Floats], parameters: ExplainParameters) -> Explained:
        pause()
        plan, show = masked.plan, Shown(masked, parameters.offset_unit)
        targets = self.targets(masked, list(masked.by_view(outputs)), parameters)
        scores = np.stack([target.scores for target in targets], axis=1) if targets else np.empty((len(plan.sets), 0))
        values = plan.values(scores)  # (words, targets)
        return Explained(
            method="owen",
            contexts=2**plan.depth,
            groups=plan.groups,
            forward_passes=plan.passes,
            explanations=[
                show.explanation(target.about, float(column[plan.everything]), float(column[0]), values[:, number])
                for number, (target, column) in enumerate(zip(targets, scores.T, strict=True))
            ],
        )

    def targets(self, masked: Masked, views: Sequence[Floats], parameters: ExplainParameters) -> list[Target]:
        labels, top_k = parameters.labels, parameters.top_k
        if isinstance(self.asked, Ner):
            return entity_targets(self.asked, masked, views, labels, top_k)
        return label_targets(self.asked, masked, views, labels, top_k, parameters.function_to_apply)


class Shown:
    """The words of an input as answers show them; offsets count `unit`."""

    def __init__(self, masked: Masked, unit: OffsetUnit) -> None:
        item = masked.item
        self.texts = [item.text] if isinstance(item, EncodedText) else [item.first.text, item.second.text]
        self.starts = [positions(text, unit) for text in self.texts]
        self.words = masked.words

    def place(self, text: int, start: int, end: int) -> dict[str, Any]:
        """Return the fields of a part of one of the texts."""
        word, starts = self.texts[text][start:end], self.starts[text]
        if starts is not None:
            start, end = int(starts[start]), int(starts[end])
        return {"word": word, "start": start, "end": end}

    def word(self, word: Word, score: float) -> WordScore:
        place = self.place(*word)
        of_pair = {"text": FIELDS[word.text]} if len(self.texts) > 1 else {}
        return cast(WordScore, {**place, "score": score, **of_pair})

    def explanation(self, about: dict[str, Any], score: float, base: float, values: Values) -> Explanation:
        """Return what is said of one target: its score, that of no words, `base`, and what makes the difference."""
        place = self.place(0, about["start"], about["end"]) if "start" in about else {}
        total = float(values.sum())
        words = [self.word(word, value) for word, value in zip(self.words, values.tolist(), strict=True)]
        made_of = {"score": score, "base_value": base, "sum": total, "gap": score - base - total, "words": words}
        return cast(Explanation, about | place | made_of)
