"""What sets one trained task apart from another: its reader, labels, features, head and score."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.config import Recipe, Task
from training.data import (
    ClassificationExample,
    NerExample,
    Style,
    label_names,
    read_classification,
    read_ner,
    tag_names,
)
from training.evaluate import evaluate_classification, evaluate_ner, torch_classifier, torch_tagger
from training.features import classification_features, ner_features

Split = Literal["train", "validation", "test"]
E = TypeVar("E", ClassificationExample, NerExample)


@dataclass(frozen=True)
class Problem(Generic[E]):
    """The parts of fine-tuning that depend on the task.

    ``features`` takes (examples, labels, tokenizer, max_length). ``score`` takes (model, tokenizer, examples,
    labels, max_length) and returns metrics. ``problem_type`` is for the Hugging Face config.
    """

    auto_model: type
    collator: type
    read: Callable[[Recipe, Path, Split], list[E]]
    labels: Callable[[Iterable[E]], tuple[str, ...]]
    problem_type: Callable[[Sequence[E]], str | None]
    features: Callable[[Sequence[E], Sequence[str], PreTrainedTokenizerBase, int], Dataset]
    score: Callable[[PreTrainedModel, PreTrainedTokenizerBase, Sequence[E], Sequence[str], int], dict[str, float]]


def _read_classification(recipe: Recipe, path: Path, split: Split) -> list[ClassificationExample]:
    return read_classification(path, recipe.data, recipe.training.max_samples)


def _problem_type(examples: Sequence[ClassificationExample]) -> str:
    return "multi_label_classification" if examples[0].multi_label else "single_label_classification"


def _score_classification(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[ClassificationExample],
    labels: Sequence[str],
    max_length: int,
) -> dict[str, float]:
    return evaluate_classification(examples, labels, torch_classifier(model, tokenizer, max_length))


def _read_ner(recipe: Recipe, path: Path, split: Split) -> list[NerExample]:
    """Train on both ways of spacing, so that the model takes either; judge on that of ordinary text."""
    style: Style | None = None if split == "train" else "natural"
    return read_ner(path, style, recipe.seed, recipe.training.max_samples)


def _score_ner(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[NerExample],
    labels: Sequence[str],
    max_length: int,
) -> dict[str, float]:
    return evaluate_ner(examples, labels, torch_tagger(model, tokenizer, max_length))


# A problem's own functions agree on the type of example; which one it is depends on the key.
PROBLEMS: dict[Task, Problem[Any]] = {
    "text-classification": Problem(
        auto_model=AutoModelForSequenceClassification,
        collator=DataCollatorWithPadding,
        read=_read_classification,
        labels=label_names,
        problem_type=_problem_type,
        features=classification_features,
        score=_score_classification,
    ),
    "token-classification": Problem(
        auto_model=AutoModelForTokenClassification,
        collator=DataCollatorForTokenClassification,
        read=_read_ner,
        labels=tag_names,
        problem_type=lambda examples: None,
        features=ner_features,
        score=_score_ner,
    ),
}
