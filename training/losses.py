"""Losses that are exact under gradient accumulation and on several devices, with weights and smoothing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import ModelOutput

from training.config import RecipeError, TrainingConfig
from training.data import Labeling

IGNORED = -100  # cross_entropy's and the Trainer's mark of a position without a label

Weights = Literal["none", "balanced"] | Mapping[str, float]


def exact_loss(
    outputs: ModelOutput,
    batch: Mapping[str, Tensor],
    num_items_in_batch: Tensor | int | None = None,
    *,
    label_smoothing: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the summed loss over `num_items_in_batch`, the labels of all accumulated batches and devices.

    `batch` has `labels`: class ids (B,) or (B, S) with `IGNORED` in them; floats (B, C) for multi-label data;
    floats (B,) for regression. `weights` (C,) multiply the loss of each class, or of each label where it applies; the
    divisor does not change with them. RoBERTa's own heads return the mean of each small batch, which the Trainer
    of transformers 5 then sums instead of averaging.
    """
    labels = batch["labels"]
    total = summed_loss(outputs.logits, labels, label_smoothing=label_smoothing, weights=weights)
    return total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)


def summed_loss(
    logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Return the loss of all labels together; `logits`: (B, C), (B, S, C), or (B, 1) for regression."""
    weights = None if weights is None else weights.to(logits.device)
    if not labels.is_floating_point():
        return F.cross_entropy(
            logits.flatten(0, -2),
            labels.flatten(),
            weight=weights,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
    if labels.ndim == 1:
        return F.mse_loss(logits.squeeze(-1), labels, reduction="sum")
    targets = labels * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="sum")


def class_weights(training: TrainingConfig, labeling: Labeling, targets: Sequence[object]) -> Tensor | None:
    """Return the weight of each label (C,) that a recipe asks for, or None.

    `targets`: the `labels` column of the training features. Raises `RecipeError` for weights or smoothing of
    a regression, and for a table with an unknown label or a weight below 0; a label it does not name weighs 1.
    """
    setting, labels = training.class_weights, labeling.labels
    if labeling.problem_type == "regression" and (setting != "none" or training.label_smoothing):
        raise RecipeError("training.class_weights and training.label_smoothing need classes; a regression has none")
    if isinstance(setting, Mapping):
        return weights_table(setting, labels)
    return None if setting == "none" else balanced_weights(targets, len(labels))


def balanced_weights(targets: Sequence[object], classes: int) -> Tensor:
    """Return weights (C,) under which every class, or a label's presence and absence, counts the same.

    Of single labels, and of the labels of tokens, a class weighs N / (C * its count), as in scikit-learn's
    `class_weight="balanced"`. Of multi-label data a present label weighs absences / presences.
    """
    matrix = isinstance(targets[0], Sequence) and isinstance(targets[0][0], float)
    if matrix:
        present = torch.tensor(targets).sum(dim=0)  # (C,)
        return (len(targets) - present) / present.clamp(min=1)
    ids = torch.cat([torch.tensor(each).flatten() for each in targets])
    counts = ids[ids != IGNORED].bincount(minlength=classes)  # (C,)
    return counts.sum() / (classes * counts.clamp(min=1))


def weights_table(table: Mapping[str, float], labels: Sequence[str]) -> Tensor:
    for name, weight in table.items():
        if name not in labels:
            nearest = difflib.get_close_matches(name, labels, n=1, cutoff=0.0)
            raise RecipeError(f"training.class_weights: no label {name!r}; the nearest is {nearest[0]!r}")
        if weight < 0:
            raise RecipeError(f"training.class_weights: {name} weighs {weight}; give 0 or more")
    return torch.tensor([float(table.get(label, 1.0)) for label in labels])
