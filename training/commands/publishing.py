"""The last step of every verb that makes a bundle."""

from __future__ import annotations

import argparse

from app.bundle.defaults import set_default
from training.export.publication import Publication
from training.export.publish import Published, publish
from training.progress import Phases
from training.tasks import training_task
from training.trained import TrainedCheckpoint


def publish_bundle(
    publication: Publication, checkpoint: TrainedCheckpoint, options: argparse.Namespace, phases: Phases
) -> Published:
    """Publish the next version under --models, and make it its route's default where --set-default says so."""
    published = publish(publication, checkpoint, options.models, phases)
    if options.set_default:
        route = training_task(published.manifest.task).serving.route
        set_default(options.models, route, publication.name)
    return published
