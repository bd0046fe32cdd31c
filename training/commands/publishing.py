"""The last step of every verb that makes a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.bundle import read_json
from app.defaults import set_default
from training.config import Recipe
from training.export.card import ROUTES
from training.export.publish import Material, publish


def publish_bundle(recipe: Recipe, material: Material, options: argparse.Namespace) -> Path:
    """Publish the next version under --models, and make it its route's default where --set-default says so."""
    folder = publish(recipe, material, options.models)
    if options.set_default:
        task = read_json(folder / "manifest.json")["task"]
        set_default(options.models, ROUTES[task], recipe.name)
    return folder
