"""The last step of every verb that makes a bundle."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from app.bundle import read_json
from app.bundle.defaults import set_default
from training.config import Recipe, RecipeError
from training.export.card import ROUTES
from training.export.publish import Material, publish


def check_models(models: Path) -> None:
    """Raise `RecipeError` when nothing could be published in `models`: before the training, not after it."""
    nearest = next(folder for folder in (models, *models.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise RecipeError(f"--models {models}: {nearest} is no folder that can be written to; name another")


def publish_bundle(recipe: Recipe, material: Material, options: argparse.Namespace) -> Path:
    """Publish the next version under --models, and make it its route's default where --set-default says so."""
    folder = publish(recipe, material, options.models)
    if options.set_default:
        task = read_json(folder / "manifest.json")["task"]
        set_default(options.models, ROUTES[task], recipe.name)
    return folder
