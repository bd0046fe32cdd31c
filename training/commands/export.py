"""`roberta-train export`: from a checkpoint that was trained elsewhere to a verified, published bundle."""

from __future__ import annotations

import argparse
from typing import Any

from training.commands.publishing import PUBLISHING, publish_bundle
from training.commands.recipes import export_recipe
from training.data import read_documents, source_of
from training.evaluable import checkpoint_evaluable
from training.export.publication import ExportRecipe
from training.progress import Phases
from training.trained import GENERIC_TEXTS, TrainedCheckpoint


def run(options: argparse.Namespace) -> str:
    """Publish a checkpoint, scored where there is something to score it on."""
    recipe = export_recipe(options)
    limit = recipe.export.calibration_texts
    texts = read_documents(options.texts, limit) if options.texts else GENERIC_TEXTS
    origin = recipe.origin or options.checkpoint
    checkpoint = TrainedCheckpoint(options.checkpoint, origin, texts, **scored_on(recipe, options))
    with Phases(PUBLISHING) as phases:
        published = publish_bundle(recipe, checkpoint, options, phases)
    return str(published.folder)


def scored_on(recipe: ExportRecipe, options: argparse.Namespace) -> dict[str, Any]:
    """Return the examples of the splits that the recipe names; the checkpoint's own labels are theirs."""
    sources = {split: source_of(recipe.data, options.data, split) for split in ("validation", "test")}
    named = {split: source for split, source in sources.items() if source is not None}
    if not named:
        return {}
    model = checkpoint_evaluable(options.checkpoint)
    return {
        split: model.task.read_examples(source, recipe.data, model.labeling, None, recipe.seed)
        for split, source in named.items()
    }
