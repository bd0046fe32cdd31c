"""What a trained model would lose without each of its layers or feed-forward neurons, measured on labeled rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.encoders import family_of
from training.progress import count, track
from training.tasks.base import Collator, Loss

ROWS = 512  # on which layers and neurons are judged
BATCH_ROWS = 16
COLUMNS = ("input_ids", "attention_mask", "token_type_ids", "labels")

Batch = dict[str, Tensor]


def batches_of(rows: Dataset, collator: Collator) -> list[Batch]:
    """Return up to ROWS rows from all over a data set, padded in batches of similar length."""
    step = max(1, len(rows) // ROWS)
    some = [rows[index] for index in range(0, len(rows), step)][:ROWS]
    features = [{name: row[name] for name in COLUMNS if name in row} for row in some]
    features.sort(key=lambda row: len(row["input_ids"]))
    return [dict(collator(features[start : start + BATCH_ROWS])) for start in range(0, len(features), BATCH_ROWS)]


def important_layers(model: PreTrainedModel, wanted: int, batches: Sequence[Batch], loss: Loss) -> list[int]:
    """Drop one layer after the other, each time the one without which the loss is least, until `wanted` are left.

    Returns the indices of the layers that stay, ascending. Source: Song et al. 2024 (SLEB), arXiv:2402.09025.
    """
    kept = list(range(model.config.num_hidden_layers))
    fixed = 1 if family_of(model).keeps_first_layer else 0  # of the layers that are left, how many may not be dropped
    trials = sum(range(wanted + 1 - fixed, len(kept) + 1 - fixed))
    with count(trials, "layers tried for removal") as steps:
        while len(kept) > wanted:
            losses = {}
            for layer in kept[fixed:]:
                losses[layer] = loss_with(model, [other for other in kept if other != layer], batches, loss)
                steps.advance()
            kept.remove(min(losses, key=losses.__getitem__))
    return kept


@torch.inference_mode()
def loss_with(model: PreTrainedModel, layers: Sequence[int], batches: Sequence[Batch], loss: Loss) -> float:
    """Return the summed loss of the model when only `layers` are run; the model is left as it was."""
    family = family_of(model)
    every = family.layers(model)
    family.replace_layers(model, nn.ModuleList(every[layer] for layer in layers))
    try:
        return sum(float(loss_of(model.eval(), batch, loss)) for batch in batches)
    finally:
        family.replace_layers(model, every)


def neuron_importance(model: PreTrainedModel, batches: Sequence[Batch], loss: Loss) -> list[Tensor]:
    """Return, for each layer, how much the loss depends on each feed-forward neuron: (width,), not negative.

    For a row this is |sum over tokens of activation * gradient|, the first-order estimate of what the loss changes
    by when the neuron's activation becomes zero; summed over rows. Source: Molchanov et al. 2017,
    arXiv:1611.06440, equation 7.
    """
    family = family_of(model.eval())
    readers = [layer.get_submodule(family.feed_forward_out) for layer in family.layers(model)]
    totals = [torch.zeros(family.width(model.config), device=model.device) for _ in readers]
    activations: list[Tensor] = []
    hooks = [
        reader.register_forward_pre_hook(lambda module, inputs: activations.append(inputs[0])) for reader in readers
    ]
    try:
        for batch in track(batches, "batches weighed"):
            activations.clear()
            gradients = torch.autograd.grad(loss_of(model, batch, loss), activations)
            for total, activation, gradient in zip(totals, activations, gradients, strict=True):
                total += (activation * gradient).sum(dim=1).abs().sum(dim=0).detach()  # (B, S, width) -> (width,)
    finally:
        for hook in hooks:
            hook.remove()
    return totals


def loss_of(model: PreTrainedModel, batch: Batch, loss: Loss) -> Tensor:
    """Return the loss of a batch, summed over its items; padding has no part in it."""
    inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
    asked = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    return loss(model(**asked), inputs, 1)
