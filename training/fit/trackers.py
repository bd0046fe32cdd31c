"""Experiment trackers that a recipe may name, each a package to be installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from training.config import RecipeError


def trackers(names: Sequence[str], folder: Path) -> list[TrainerCallback]:
    """Return the callbacks that send the learning curves; TensorBoard's files go to `folder`/tensorboard.

    MLflow goes where its own environment variables say. Raises `RecipeError` when a package is missing.
    """
    for name in names:
        if find_spec(name) is None:
            raise RecipeError(f"training.report_to names {name}, which is not installed: pip install {name}")
    return [tracker(name, folder) for name in names]


def tracker(name: str, folder: Path) -> Any:
    if name == "mlflow":
        from transformers.integrations import MLflowCallback

        return MLflowCallback()
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(str(folder / "tensorboard")))
