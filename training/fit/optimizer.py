"""AdamW as recipes set it, and its groups: lower layers learn more slowly, biases and norms are not decayed."""

from __future__ import annotations

import re
from typing import Any, TypedDict

from torch import nn
from transformers import PreTrainedModel

from training.config import PretrainingConfig, TrainingConfig
from training.encoders import family_of
from training.fit.hardware import precision_arguments

NOT_DECAYED = re.compile(r"(?:bias|norm[^.]*\.weight)$", re.IGNORECASE)

# (least parameters, peak learning rate), the first that fits. Liu et al. 2019, arXiv:1907.11692, table 10, take 1e-5 to
# 3e-5 for encoders of 125 M parameters and more; smaller ones need more.
LEARNING_RATES = ((100e6, 2e-5), (50e6, 5e-5), (0.0, 1e-4))


class Group(TypedDict):
    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def step_arguments(section: TrainingConfig | PretrainingConfig) -> dict[str, Any]:
    """Return a recipe's batches, AdamW and number format as arguments of `TrainingArguments`."""
    return {
        "per_device_train_batch_size": section.batch_size,
        "gradient_accumulation_steps": section.gradient_accumulation,
        "warmup_steps": section.warmup_ratio,  # below 1: a share of all steps
        "weight_decay": section.weight_decay,
        "adam_beta1": section.adam_beta1,
        "adam_beta2": section.adam_beta2,
        "adam_epsilon": section.adam_epsilon,
        "max_grad_norm": section.max_grad_norm,
        "optim": "adamw_torch_fused",
        "report_to": "none",  # trackers are passed as callbacks
        **precision_arguments(section.mixed_precision),
    }


def parameter_groups(
    model: PreTrainedModel, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[Group]:
    """Group the trainable parameters by learning rate and weight decay, the head first.

    The head learns at `learning_rate`, the last layer at `layer_decay` times that, and so on down to the
    embeddings. Source: layer-wise decay, Clark et al. 2020, arXiv:2003.10555, appendix B.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    below_head = depths_below_head(model) if layer_decay < 1 else {}
    groups: dict[tuple[int, float], Group] = {}
    for name, parameter in named:
        below = below_head.get(name, 0)
        decay = 0.0 if NOT_DECAYED.search(name) else weight_decay
        group: Group = {"params": [], "lr": learning_rate * layer_decay**below, "weight_decay": decay}
        groups.setdefault((below, decay), group)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def default_learning_rate(model: nn.Module) -> float:
    """Return the peak learning rate for a model of this size."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return next(rate for least, rate in LEARNING_RATES if parameters >= least)


def depths_below_head(model: PreTrainedModel) -> dict[str, int]:
    """Return, by parameter, 1 for the last layer, 2 for the one before it, and so on down to the embeddings.

    The head's parameters, and a norm that follows the last layer, are not in it.
    """
    family = family_of(model)
    layers = len(family.layers(model))
    depths = {}
    for name, _ in model.named_parameters():
        if "embeddings" in name:
            depths[name] = layers + 1
        elif (found := family.layer_of(model, name)) is not None:
            depths[name] = layers - found[0]
    return depths
