"""Which family a checkpoint is of. The families are the modules of this folder."""

from __future__ import annotations

from functools import cache

from transformers import PretrainedConfig, PreTrainedModel

from app.discovery import classes_in
from training.encoders.base import Encoder, UnsupportedModelError
from training.encoders.general import General


@cache
def families() -> dict[str, Encoder]:
    """Return each family by the model types that it names."""
    every = [kind() for kind in classes_in("training.encoders", Encoder)]  # type: ignore[type-abstract]
    return {model_type: family for family in every for model_type in family.model_types}


def model_types(can: str) -> list[str]:
    """Return the types of checkpoint whose family has a capability, such as `can_be_transplanted`."""
    return sorted(model_type for model_type, family in families().items() if getattr(family, can))


def family_of(model: PreTrainedModel) -> Encoder:
    """Return the family of a loaded checkpoint. Raises `UnsupportedModelError` where it is of none."""
    family = family_of_config(model.config, type(model).__name__)
    family.check(model.config)
    return family


def family_of_config(config: PretrainedConfig, name: str | None = None) -> Encoder:
    """Return the family that a config belongs to; `name` is what the error calls the checkpoint."""
    family = families().get(config.model_type)
    if family is not None:
        return family
    if General.knows(config):
        return General()
    known = ", ".join(sorted(families()))
    raise UnsupportedModelError(
        f"{name or config.model_type} is not an encoder that can be used here; supported: {known}, and every "
        "other type that transformers has a masked language model of"
    )
