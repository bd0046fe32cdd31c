"""What sets one trained task apart from another: its features, head and score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.config import ProblemType, Task
from training.data import ClassificationExample, NerExample
from training.evaluation import (
    evaluate_classification,
    evaluate_ner,
    label_matrix,
    torch_classifier,
    torch_tagger,
)
from training.evaluation.calibration import fit_thresholds
from training.fit.features import classification_features, ner_features

E = TypeVar("E", ClassificationExample, NerExample)
Labels = Sequence[str]


@dataclass(frozen=True)
class Problem(Generic[E]):
    """The parts of fine-tuning that depend on the task.

    `features` takes (examples, labels, tokenizer, max_length, problem_type). `score` takes (model, tokenizer,
    examples, labels, max_length, problem_type) and returns metrics.
    """

    auto_model: type
    collator: type
    features: Callable[[Sequence[E], Labels, PreTrainedTokenizerBase, int, ProblemType | None], Dataset]
    score: Callable[
        [PreTrainedModel, PreTrainedTokenizerBase, Sequence[E], Labels, int, ProblemType | None], dict[str, float]
    ]


def score_classification(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[ClassificationExample],
    labels: Labels,
    max_length: int,
    problem_type: ProblemType | None,
) -> dict[str, float]:
    logits = torch_classifier(model, tokenizer, max_length)([example.model_input for example in examples])
    kind: ProblemType = problem_type or "single_label_classification"
    thresholds = None
    if kind == "multi_label_classification":  # fitted at export too, so an epoch is judged by what it can become
        thresholds = fit_thresholds(np.stack(logits), label_matrix(examples, labels))
    return evaluate_classification(examples, labels, lambda inputs: logits, kind, thresholds)


def score_ner(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[NerExample],
    labels: Labels,
    max_length: int,
    problem_type: ProblemType | None,
) -> dict[str, float]:
    return evaluate_ner(examples, labels, torch_tagger(model, tokenizer, max_length))


# A problem's own functions agree on the type of example; which one it is depends on the key.
PROBLEMS: dict[Task, Problem[Any]] = {
    "text-classification": Problem(
        auto_model=AutoModelForSequenceClassification,
        collator=DataCollatorWithPadding,
        features=classification_features,
        score=score_classification,
    ),
    "token-classification": Problem(
        auto_model=AutoModelForTokenClassification,
        collator=DataCollatorForTokenClassification,
        features=ner_features,
        score=score_ner,
    ),
}
