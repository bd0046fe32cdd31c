"""The last step of every verb that makes a bundle."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from app.bundle import Bundle, BundleError, Manifest, read_bundle, version_folders
from app.bundle.defaults import set_default
from training.export.publication import Publication
from training.export.publish import Published, checkpoint_sha256, publish
from training.progress import Phases
from training.provenance import is_this_code, versions
from training.tasks import training_task
from training.trained import TrainedCheckpoint

PUBLISHING = ("export", "calibrate", "verify", "score")  # phases

log = logging.getLogger(__name__)


def finished_before(
    publication: Publication, checkpoint: TrainedCheckpoint, run_dir: Path, options: argparse.Namespace
) -> Path | None:
    """Return the bundle of a run that is finished and published, unless --again asks for a further one, and say so.

    It becomes its route's default where --set-default says so.
    """
    bundle = None if options.again else published_before(checkpoint, publication, options.models)
    if bundle is None:
        return None
    log.info("%s is finished, and published as %s; --again publishes it once more", run_dir, bundle.path)
    choose_default(bundle.manifest, options)
    return bundle.path


def published_before(checkpoint: TrainedCheckpoint, publication: Publication, models: Path) -> Bundle | None:
    """Return the newest version of a name where it was made of the same checkpoint and data in the same way."""
    for version, folder in version_folders(models, publication.name).items():
        try:
            bundle = read_bundle(folder, name=publication.name, version=version)
        except BundleError:
            return None
        provenance = bundle.manifest.provenance
        same = {
            "checkpoint_sha256": checkpoint_sha256(checkpoint),
            "data_sha256": checkpoint.data_sha256,  # the test split may be another than when it was scored
            "export": publication.export.model_dump(mode="json"),
            "data": list(publication.card.data_attribution),
            "licence": publication.card.licence,
            "versions": versions(),
        }
        is_same = all(provenance.get(key) == value for key, value in same.items())
        return bundle if is_same and is_this_code(provenance.get("commit")) else None
    return None


def publish_bundle(
    publication: Publication, checkpoint: TrainedCheckpoint, options: argparse.Namespace, phases: Phases
) -> Published:
    """Publish the next version under --models, and make it its route's default where --set-default says so."""
    published = publish(publication, checkpoint, options.models, phases)
    choose_default(published.manifest, options)
    return published


def choose_default(manifest: Manifest, options: argparse.Namespace) -> None:
    """Make a bundle its route's default where --set-default says so."""
    if options.set_default:
        set_default(options.models, training_task(manifest.task).serving.route, manifest.name)
