"""Parameter groups of AdamW: lower layers learn more slowly, biases and norms are not decayed."""

from __future__ import annotations

import re
from typing import TypedDict

from torch import nn

LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block)\.(\d+)\.")
NOT_DECAYED = re.compile(r"(?:bias|norm[^.]*\.weight)$", re.IGNORECASE)


# Peak learning rates by parameters, the first that fits: from the paper's 1e-5 to 3e-5 for roberta-base and larger;
# smaller encoders need more.
LEARNING_RATES = ((100e6, 2e-5), (50e6, 5e-5), (0.0, 1e-4))


class Group(TypedDict):
    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def parameter_groups(model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float) -> list[Group]:
    """Group the trainable parameters by learning rate and weight decay, the head first.

    The head learns at `learning_rate`, the last layer at `layer_decay` times that, and so on down to the
    embeddings. Source: layer-wise decay, Clark et al. 2020, arXiv:2003.10555, appendix B.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    layers = 1 + max((number for name, _ in named if (number := layer_of(name)) is not None), default=-1)
    groups: dict[tuple[int, float], Group] = {}
    for name, parameter in named:
        below = depth_below_head(name, layers) if layer_decay < 1 else 0
        decay = 0.0 if NOT_DECAYED.search(name) else weight_decay
        group: Group = {"params": [], "lr": learning_rate * layer_decay**below, "weight_decay": decay}
        groups.setdefault((below, decay), group)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def default_learning_rate(model: nn.Module) -> float:
    """Return the peak learning rate for a model of this size."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return next(rate for least, rate in LEARNING_RATES if parameters >= least)


def depth_below_head(name: str, layers: int) -> int:
    """Return 0 for a parameter of the head, 1 for the last layer, `layers` + 1 for the embeddings."""
    if "embeddings" in name:
        return layers + 1
    number = layer_of(name)
    return 0 if number is None else layers - number


def layer_of(name: str) -> int | None:
    """Return the number of the transformer layer that a parameter belongs to, from 0 at the bottom."""
    found = LAYER.search(name)
    return int(found.group(1)) if found else None
