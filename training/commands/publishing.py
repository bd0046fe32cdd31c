"""The last step of every verb that makes a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.bundle import BundleError, read_bundle, version_folders
from app.bundle.defaults import set_default
from training.export.publication import Publication
from training.export.publish import Published, checkpoint_sha256, publish
from training.progress import Phases
from training.provenance import is_this_code, versions
from training.tasks import training_task
from training.trained import TrainedCheckpoint

PUBLISHING = ("export", "calibrate", "verify", "score")  # phases


def published_before(checkpoint: TrainedCheckpoint, publication: Publication, models: Path) -> Path | None:
    """Return the newest version of a name where it was made of the same checkpoint in the same way; else None."""
    for version, folder in version_folders(models, publication.name).items():
        try:
            provenance = read_bundle(folder, name=publication.name, version=version).manifest.provenance
        except BundleError:
            return None
        same = {
            "checkpoint_sha256": checkpoint_sha256(checkpoint),
            "export": publication.export.model_dump(mode="json"),
            "data": list(publication.card.data_attribution),
            "licence": publication.card.licence,
            "versions": versions(),
        }
        is_same = all(provenance.get(key) == value for key, value in same.items())
        return folder if is_same and is_this_code(provenance.get("commit")) else None
    return None


def publish_bundle(
    publication: Publication, checkpoint: TrainedCheckpoint, options: argparse.Namespace, phases: Phases
) -> Published:
    """Publish the next version under --models, and make it its route's default where --set-default says so."""
    published = publish(publication, checkpoint, options.models, phases)
    if options.set_default:
        route = training_task(published.manifest.task).serving.route
        set_default(options.models, route, publication.name)
    return published
