"""The bundles under test, made from the checkpoint by the exporter that makes every bundle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from app.bundle import Bundle, Precision, read_bundle, write_manifest
from training.config import ExportConfig
from training.export.publication import Publication
from training.export.publish import publish
from training.trained import TrainedCheckpoint

NAME = "benchmark"
PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")


def make_bundles(checkpoint: str, texts: Sequence[str], folder: Path) -> dict[Precision, Bundle]:
    """Export `checkpoint`, calibrated on `texts`, into a bundle of its own for each precision.

    What is in `folder` already is used again. Windows are as long as the model allows, so that the service runs
    long texts whole, as the pipeline does.
    """
    if not (folder / "both").is_dir():
        publication = Publication(name=NAME, export=ExportConfig(precisions=PRECISIONS))
        publish(publication, TrainedCheckpoint(checkpoint, checkpoint, texts), folder / "both")
    return {precision: extract(folder / "both", precision, folder / precision) for precision in PRECISIONS}


def extract(models: Path, precision: Precision, target: Path) -> Bundle:
    """Copy the bundle in `models` to `target` with one of its graphs only, which is then the one that is served."""
    path = target / NAME / "1"
    if not path.is_dir():
        manifest = read_bundle(models / NAME / "1", name=NAME, version=1).manifest
        others = [graph.file for name, graph in manifest.graphs.items() if name != precision]
        shutil.copytree(models / NAME / "1", path, ignore=shutil.ignore_patterns(*others))
        write_manifest(path, manifest.model_copy(update={"graphs": {precision: manifest.graphs[precision]}}))
    return read_bundle(path, name=NAME, version=1)
