"""The teacher: a checkpoint that was trained for the labels of the data."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from app.bundle import BundleError
from app.tasks import task_of
from training.config import RecipeError
from training.encoders import UnsupportedModelError, family_of, load_checkpoint
from training.encoders.output import order_logits


def load_teacher(source: str, task: str, labels: Sequence[str]) -> PreTrainedModel:
    """Load a trained checkpoint in float32, its logits in the order of `labels`.

    Raises `RecipeError` when it cannot be loaded or exported, or was trained for another task or other labels.
    """
    try:
        model = load_checkpoint(source)
        family_of(model)
        trained_for = task_of({"architectures": [type(model).__name__]}).name
    except (UnsupportedModelError, BundleError) as error:
        raise RecipeError(f"the teacher {source} cannot be used: {error}") from error
    if trained_for != task:
        raise RecipeError(f"the teacher {source} was trained for {trained_for}, and the recipe is for {task}")
    names = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
    if len(names) == len(labels) == 1:
        return model  # a regression's only output may have any name
    if different := sorted(set(names) ^ set(labels)):
        owner = "the teacher" if different[0] in names else "the data"
        raise RecipeError(
            f"the teacher {source} was trained for other labels than the data has: {different[0]!r} is only known to "
            f"{owner}"
        )
    order_logits(model, [names.index(label) for label in labels], labels)
    return model
