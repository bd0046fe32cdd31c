"""What a caller of `publish` says of the bundle to make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from app.bundle.manifest import BundleName
from training.config import CardConfig, EvaluationConfig, ExportConfig
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
