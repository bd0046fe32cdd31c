"""What a caller of `publish` says of the bundle to make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from app.bundle.manifest import BundleName
from training.config import CardConfig, DataConfig, EvaluationConfig, ExportConfig
from training.config.base import Section


class Publication(Section):
    """What is to be published, and how."""

    name: BundleName = Field(description="Folder of the bundle in models/.")
    task_settings: Mapping[str, Any] = Field(
        default_factory=dict,
        description="What the model keeps for its task alone; what is not said is as in the checkpoint.",
    )
    export: ExportConfig = Field(default_factory=ExportConfig, description="Which graphs are made.")
    card: CardConfig = Field(default_factory=CardConfig, description="Text of the model card.")
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="What scores are made of.")
    seed: int = Field(42, ge=0, description="Seed of probes, of calibration and of resamples.")


class ExportRecipe(Publication):
    """What `export` reads of a recipe: what is to be published of a checkpoint that was trained elsewhere."""

    origin: str | None = Field(
        None, description="What the bundle calls the checkpoint that it was made of; none: its Hub id, or its folder."
    )
    data: DataConfig = Field(
        default_factory=DataConfig,
        description="Labeled examples: `validation` bounds what int8 may lose, and `test` is scored.",
    )
