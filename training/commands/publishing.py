"""The last step of every verb that makes a bundle."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from app.bundle.defaults import set_default
from training.config import RecipeError
from training.export.publication import Publication
from training.export.publish import Published, publish
from training.progress import Phases
from training.tasks import training_task
from training.trained import TrainedCheckpoint


def check_models(models: Path) -> None:
    """Raise `RecipeError` when nothing could be published in `models`: before the training, not after it."""
    nearest = next(folder for folder in (models, *models.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise RecipeError(f"--models {models}: {nearest} is no folder that can be written to; name another")


def publish_bundle(
    publication: Publication, checkpoint: TrainedCheckpoint, options: argparse.Namespace, phases: Phases
) -> Published:
    """Publish the next version under --models, and make it its route's default where --set-default says so."""
    published = publish(publication, checkpoint, options.models, phases)
    if options.set_default:
        route = training_task(published.manifest.task).serving.route
        set_default(options.models, route, publication.name)
    return published
