"""The task's metrics of a served graph, by the same code that scores a checkpoint, and its temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from app.bundle import ProblemType, TaskName
from training.calibrate import expected_calibration_error, fit_temperature
from training.data import NerExample, Sentence, render
from training.evaluate import evaluate_classification, evaluate_fill_mask, evaluate_ner, label_matrix
from training.export.serving import ServedGraph

Examples = Sequence[Any]  # of the task's own example type


def score(
    graph: ServedGraph, examples: Examples, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> dict[str, float]:
    """Return the metrics of `graph` on `examples`, 0..1; nothing for no examples."""
    if not examples:
        return {}
    task: TaskName = graph.task.name
    if task == "text-classification":
        return evaluate_classification(examples, labels, graph.classify)
    if task == "token-classification":
        spaced = [as_spaced(example) for example in examples]
        f1_spaced = evaluate_ner(spaced, labels, graph.tag_tokens)["f1"]
        return evaluate_ner(examples, labels, graph.tag_tokens) | {"f1_spaced": f1_spaced}
    return evaluate_fill_mask(examples, tokenizer, graph.fill_masks)


def as_spaced(example: NerExample) -> NerExample:
    """Return the sentence as its CoNLL file has it: words, punctuation too, with a space between all of them."""
    words = tuple(example.text[start:end] for start, end in example.word_offsets)
    return render(Sentence(words, example.tags), "spaced")


def calibrate_graph(
    graph: ServedGraph, examples: Examples, labels: Sequence[str], problem_type: ProblemType | None
) -> tuple[float, dict[str, float]]:
    """Fit one temperature on validation examples of a single-label classifier; 1 for everything else.

    Returns it with the expected calibration error before and after.
    """
    if problem_type != "single_label_classification" or not examples or len(labels) < 2:
        return 1.0, {}
    logits = np.stack(graph.classify([example.model_input for example in examples]))  # (N, labels)
    truth = label_matrix(examples, labels).argmax(axis=1)  # (N,)
    temperature = fit_temperature(logits, truth)
    return temperature, {
        "ece_before_temperature": expected_calibration_error(logits, truth),
        "ece": expected_calibration_error(logits, truth, temperature),
    }
