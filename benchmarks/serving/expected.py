"""What a right answer is: the PyTorch checkpoint's for fp32, the quantized graph's own for int8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer

from app.bundle import Bundle
from app.tasks.base import softmax
from training.data import ClassificationExample
from training.encoders import load_checkpoint
from training.evaluation.served import ServedGraph
from training.tasks.classify import ClassifyTraining

Scores = dict[str, float]

SCORE_TOLERANCE = 1e-3  # between a server and what it should answer; two kernels' rounding is 1e-5
LEAST_AGREEMENT = 0.97  # of int8's labels with the checkpoint's, or the quantized graph is not worth measuring
SUM_TOLERANCE = 1e-3  # how far the scores of a text may be from a sum of 1


class WrongAnswerError(Exception):
    """A server answered wrongly: the run is void."""


def torch_scores(checkpoint: str, texts: Sequence[str]) -> list[Scores]:
    """Answer each text by itself with the PyTorch checkpoint."""
    model, tokenizer = load_checkpoint(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    with torch.inference_mode():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in texts]
    return [named(row, list(model.config.id2label.values())) for row in logits]


def int8_scores(bundle: Bundle, texts: Sequence[str]) -> list[Scores]:
    """Answer all texts with the int8 graph, without a server."""
    return [named(row, bundle.manifest.labels) for row in graph_logits(ServedGraph(bundle, "int8"), texts)]


def graph_logits(graph: ServedGraph, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the logits (N, labels) of a classifier's graph, without a server."""
    return ClassifyTraining().predict_graph(graph, [ClassificationExample(text, ()) for text in texts])


def named(logits: NDArray[np.float32], labels: Sequence[str]) -> Scores:
    return dict(zip(labels, map(float, softmax(logits)), strict=True))


def check_scores(answered: Scores, expected: Scores) -> None:
    """Raise `WrongAnswerError` unless every label has its score."""
    if answered.keys() != expected.keys() or any(
        abs(answered[label] - expected[label]) > SCORE_TOLERANCE for label in expected
    ):
        raise WrongAnswerError(f"answered {answered} where {expected} is right")


def check_labels(answered: Scores, expected: Scores) -> None:
    """Raise `WrongAnswerError` unless the answer is a distribution over the expected labels."""
    if answered.keys() != expected.keys() or abs(sum(answered.values()) - 1) > SUM_TOLERANCE:
        raise WrongAnswerError(f"answered {answered}, which is no distribution over {sorted(expected)}")


def top(scores: Scores) -> str:
    return max(scores, key=scores.__getitem__)


def check_agreement(name: str, agreed: int, total: int) -> None:
    """Hold the labels of a server whose scores depend on its batches against the checkpoint's.

    Raises `WrongAnswerError` when fewer than `LEAST_AGREEMENT` of them are the same.
    """
    if agreed < LEAST_AGREEMENT * total:
        raise WrongAnswerError(f"{name} gave only {agreed / total:.1%} of {total} answers the checkpoint's label")


def compare_int8(int8: Sequence[Scores], reference: Sequence[Scores]) -> str:
    """Say how far int8 is from the checkpoint. Raises `WrongAnswerError` when too far."""
    same = np.mean([top(a) == top(b) for a, b in zip(int8, reference, strict=True)])
    apart = [max(abs(a[label] - b[label]) for label in b) for a, b in zip(int8, reference, strict=True)]
    if same < LEAST_AGREEMENT:
        raise WrongAnswerError(f"int8 gives only {same:.1%} of the texts the checkpoint's label")
    return (
        f"int8 gives {same:.1%} of the texts the checkpoint's label; "
        f"its scores are off by {np.mean(apart):.3f} on average, {max(apart):.3f} at most"
    )
