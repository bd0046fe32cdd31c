"""A student out of a trained teacher: fewer layers, narrower feed-forward blocks, the same embeddings and head."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel

from training.compression.importance import Batch, batches_of, important_layers, neuron_importance
from training.config import DistillationConfig, RecipeError
from training.encoders import family_of
from training.tasks.base import Collator, Loss

log = logging.getLogger(__name__)


def make_student(
    teacher: PreTrainedModel,
    distillation: DistillationConfig,
    train: Dataset,
    validation: Dataset,
    collator: Collator,
    loss: Loss,
    settings: Mapping[str, object] | None = None,
) -> PreTrainedModel:
    """Return a smaller copy of `teacher`, ready to train; the teacher is left as it was.

    Layers that "important" keeps are chosen on rows of `validation`, feed-forward neurons on rows of `train`;
    `loss` is the task's. `settings` go into the student's config, such as its dropout. Raises `RecipeError` when
    the student would be larger than the teacher, or the teacher cannot be pruned.
    """
    check_size(teacher, distillation)
    layers = layers_to_keep(teacher, distillation, validation, collator, loss)
    student = shrink(teacher, layers, None, settings)
    if distillation.feed_forward not in (None, width_of(teacher)):
        importance = neuron_importance(student, batches_of(train, collator), loss)
        neurons = [most_important(each, distillation.feed_forward) for each in importance]
        student = shrink(student, range(len(layers)), neurons)
    log.info(
        "a student with layers %s of %d and feed-forward blocks of width %d",
        ", ".join(str(layer + 1) for layer in layers),
        teacher.config.num_hidden_layers,
        width_of(student),
    )
    return student


def check_size(teacher: PreTrainedModel, distillation: DistillationConfig) -> None:
    """Raise `RecipeError` when the student would be larger than the teacher, or the teacher cannot be made smaller."""
    config, source, family = teacher.config, distillation.teacher, family_of(teacher)
    if (distillation.layers or distillation.feed_forward) and not family.can_be_pruned:
        raise RecipeError(
            f"the teacher {source} is a {type(teacher).__name__}, which cannot be made smaller here; leave out "
            "distillation.layers and distillation.feed_forward"
        )
    width = family.width(config)
    if (distillation.layers or 0) > config.num_hidden_layers:
        raise RecipeError(
            f"distillation.layers is {distillation.layers}, but the teacher {source} has {config.num_hidden_layers}; "
            "a student cannot have more"
        )
    if (distillation.feed_forward or 0) > width:
        raise RecipeError(
            f"distillation.feed_forward is {distillation.feed_forward}, but the teacher {source} has feed-forward "
            f"blocks of width {width}; a student cannot have wider ones"
        )


def width_of(model: PreTrainedModel) -> int:
    return family_of(model).width(model.config)


def layers_to_keep(
    teacher: PreTrainedModel, distillation: DistillationConfig, validation: Dataset, collator: Collator, loss: Loss
) -> list[int]:
    """Return the indices of the teacher's layers that the student starts from, ascending."""
    available = int(teacher.config.num_hidden_layers)
    wanted = distillation.layers or available
    if distillation.keep == "spaced" or wanted == available:
        if family_of(teacher).keeps_first_layer:
            return [0, *(1 + layer for layer in spaced_layers(available - 1, wanted - 1))]
        return spaced_layers(available, wanted)
    batches: list[Batch] = batches_of(validation, collator)
    return important_layers(teacher, wanted, batches, loss)


def spaced_layers(available: int, wanted: int) -> list[int]:
    """Return `wanted` of the indices below `available`, evenly spaced, the last among them: of 6, 3 are 1, 3 and 5.

    Source: every second layer of the teacher, Sanh et al. 2019, arXiv:1910.01108, section 3.
    """
    return [(place + 1) * available // wanted - 1 for place in range(wanted)]


def most_important(importance: Tensor, width: int) -> Tensor:
    """Return the indices of the `width` greatest values, in their order in the teacher."""
    return importance.topk(width).indices.sort().values


def shrink(
    model: PreTrainedModel,
    layers: Sequence[int],
    neurons: Sequence[Tensor] | None = None,
    settings: Mapping[str, object] | None = None,
) -> PreTrainedModel:
    """Copy `model` with some of its layers and, of each of those, some feed-forward neurons (all where None)."""
    family = family_of(model)
    config = copy.deepcopy(model.config)
    config.update({**family.smaller_config(config, layers), **(settings or {})})
    if neurons is not None:
        config.update({family.width_field: len(neurons[0])})
    model_class: Any = type(model)
    student: PreTrainedModel = model_class(config)
    student.load_state_dict(smaller_state(model, layers, neurons))
    return student.to(model.device).eval()


def smaller_state(model: PreTrainedModel, layers: Sequence[int], neurons: Sequence[Tensor] | None) -> dict[str, Tensor]:
    """Return the weights of the kept layers under their new numbers, cut to the kept neurons, and all others."""
    family, places = family_of(model), {layer: place for place, layer in enumerate(layers)}
    smaller = {}
    for name, weight in model.state_dict().items():
        found = family.layer_of(model, name)
        if found is None:
            smaller[name] = weight
            continue
        number, part = found
        if (place := places.get(number)) is not None:
            before = name.removesuffix(f"{number}.{part}")
            smaller[f"{before}{place}.{part}"] = weight if neurons is None else family.cut(part, weight, neurons[place])
    return smaller
