"""The task's metrics of a served graph, by the same code that scores a checkpoint, and its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from app.bundle import ProblemType
from training.config import EvaluationConfig
from training.data import NerExample, Sentence, render
from training.evaluation import (
    Classify,
    Evaluation,
    FloatArray,
    IntArray,
    evaluate,
    evaluate_classification,
    evaluate_fill_mask,
    evaluate_ner,
    label_matrix,
)
from training.evaluation.calibration import expected_calibration_error, fit_temperature, fit_thresholds
from training.evaluation.served import ServedGraph

Examples = Sequence[Any]  # of the task's own example type


@dataclass(frozen=True)
class Calibration:
    """What was fitted for one graph or checkpoint on validation.

    `temperature` divides the logits. `thresholds`: the score from which on each label of a multi-label
    classifier applies; None for everything else.
    """

    temperature: float = 1.0
    thresholds: dict[str, float] | None = None

    def thresholds_of(self, labels: Sequence[str]) -> list[float] | None:
        """Return the thresholds in the order of `labels`."""
        return None if self.thresholds is None else [self.thresholds[label] for label in labels]


def calibrate(
    predict: Classify, examples: Examples, labels: Sequence[str], problem_type: ProblemType | None
) -> Calibration:
    """Fit a classifier's temperature, and a multi-label one's thresholds, on validation examples.

    Nothing is fitted for the other tasks, for regression, or without examples.
    """
    if problem_type in (None, "regression") or not examples or len(labels) < 2:
        return Calibration()
    logits = np.stack(predict([example.model_input for example in examples]))  # (N, labels)
    return calibrate_logits(logits, label_matrix(examples, labels), labels, problem_type)


def calibrate_logits(
    logits: FloatArray, truth: IntArray, labels: Sequence[str], problem_type: ProblemType | None
) -> Calibration:
    """Fit temperature and thresholds on validation logits (N, C) and `truth` (N, C) of 0 and 1."""
    multi_label = problem_type == "multi_label_classification"
    targets = truth if multi_label else truth.argmax(axis=1)
    temperature = fit_temperature(logits, targets)
    thresholds = fit_thresholds(logits / temperature, truth) if multi_label else None
    return Calibration(temperature, None if thresholds is None else dict(zip(labels, thresholds, strict=True)))


def score(
    graph: ServedGraph,
    examples: Examples,
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    calibration: Calibration | None = None,
) -> dict[str, float]:
    """Return the metrics of `graph` on `examples`; nothing for no examples.

    Without a `calibration`, the graph's own in its manifest is used.
    """
    if not examples:
        return {}
    if graph.task.name == "token-classification":
        spaced = [as_spaced(example) for example in examples]
        f1_spaced = evaluate_ner(spaced, labels, graph.tag_tokens)["f1"]
        return evaluate_ner(examples, labels, graph.tag_tokens) | {"f1_spaced": f1_spaced}
    if graph.task.name == "fill-mask":
        return evaluate_fill_mask(examples, tokenizer, graph.fill_masks)
    fitted = calibration or calibration_of(graph)
    kind: ProblemType = graph.task.manifest.problem_type or "single_label_classification"
    logits = graph.classify([example.model_input for example in examples])
    thresholds, temperature = fitted.thresholds_of(labels), fitted.temperature
    scores = evaluate_classification(examples, labels, lambda inputs: logits, kind, thresholds, temperature)
    if kind == "regression":
        return scores
    return scores | calibration_errors(np.stack(logits), label_matrix(examples, labels), kind, temperature)


def calibration_errors(
    logits: FloatArray, truth: IntArray, problem_type: ProblemType, temperature: float
) -> dict[str, float]:
    """Return the expected calibration error of logits (N, C) with and without the temperature."""
    targets = truth if problem_type == "multi_label_classification" else truth.argmax(axis=1)
    return {
        "ece_before_temperature": expected_calibration_error(logits, targets),
        "ece": expected_calibration_error(logits, targets, temperature),
    }


def evaluate_graph(
    graph: ServedGraph,
    examples: Examples,
    tokenizer: PreTrainedTokenizerBase,
    *,
    variant: str,
    split: str,
    calibration: Calibration | None = None,
    config: EvaluationConfig | None = None,
    seed: int = 0,
) -> Evaluation:
    """Return the whole evaluation of a graph, for the report; `calibration` as in `score`."""
    fitted, manifest = calibration or calibration_of(graph), graph.task.manifest
    return evaluate(
        manifest.task,
        examples,
        manifest.labels,
        graph.predict,
        variant=variant,
        split=split,
        problem_type=manifest.problem_type,
        temperature=fitted.temperature,
        thresholds=fitted.thresholds_of(manifest.labels),
        tokenizer=tokenizer,
        config=config,
        seed=seed,
    )


def calibration_of(graph: ServedGraph) -> Calibration:
    """Return what the manifest says was fitted for the graph."""
    return Calibration(graph.task.temperature, graph.task.thresholds)


def as_spaced(example: NerExample) -> NerExample:
    """Return the sentence as its CoNLL file has it: words, punctuation too, with a space between all of them."""
    words = tuple(example.text[start:end] for start, end in example.word_offsets)
    return render(Sentence(words, example.tags), "spaced")
