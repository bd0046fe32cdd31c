"""One function for the whole evaluation of a variant, whatever predicts: a checkpoint or a served graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from training.config import EvaluationConfig, ProblemType, Task
from training.evaluation.classification_details import classification_details
from training.evaluation.fill_mask_details import fill_mask_details
from training.evaluation.ner_details import ner_details
from training.evaluation.record import Evaluation
from training.evaluation.regression_details import regression_details


def evaluate(
    task: Task,
    examples: Sequence[Any],
    labels: Sequence[str],
    predict: Callable[..., Any],
    *,
    variant: str,
    split: str,
    problem_type: ProblemType | None = None,
    temperature: float = 1.0,
    thresholds: Sequence[float] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    config: EvaluationConfig | None = None,
    seed: int = 0,
) -> Evaluation:
    """Predict `examples` (of the task's own type; documents for fill-mask), which are not empty, and score.

    `predict` is a `Classify`, `TagTokens` or `FillMasks`. `temperature` and `thresholds` (aligned to
    `labels`) are those of the variant. `tokenizer`: fill-mask needs one. `seed` is of the resamples.
    """
    config = config or EvaluationConfig()
    shared: dict[str, Any] = {"variant": variant, "split": split, "task": task, "config": config, "seed": seed}
    if task == "token-classification":
        return ner_details(examples, labels, predict, **shared)
    if task == "fill-mask":
        if tokenizer is None:
            raise ValueError("fill-mask is evaluated with a tokenizer")
        return fill_mask_details(examples, tokenizer, predict, **shared)
    if problem_type == "regression":
        return regression_details(examples, labels, predict, **shared)
    kind: ProblemType = problem_type or "single_label_classification"
    return classification_details(examples, labels, predict, kind, temperature, thresholds, **shared)
