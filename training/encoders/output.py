"""The last layer of a checkpoint's head, whose rows are its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from training.encoders.base import UnsupportedModelError


def output_layer(model: PreTrainedModel) -> nn.Linear:
    """Return the linear layer that answers a logit for each label. Raises `UnsupportedModelError`."""
    inner = {id(module) for module in cast(nn.Module, model.base_model).modules()}
    width = int(model.config.num_labels)
    found = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear) and id(module) not in inner and module.out_features == width
    ]
    if not found:
        raise UnsupportedModelError(f"{type(model).__name__} has no layer with a row for each of {width} labels")
    return found[-1]


def order_logits(model: PreTrainedModel, order: Sequence[int], labels: Sequence[str]) -> None:
    """Rearrange the output layer so that logit i is what logit `order[i]` was, and name the logits."""
    layer = output_layer(model)
    with torch.no_grad():
        layer.weight.copy_(layer.weight[list(order)].clone())
        if layer.bias is not None:
            layer.bias.copy_(layer.bias[list(order)].clone())
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}


def reset_output(model: PreTrainedModel) -> None:
    """Give the output layer random weights, as a fresh head has them."""
    layer = output_layer(model)
    nn.init.normal_(layer.weight, std=float(cast(Any, model.config).initializer_range or 0.02))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
