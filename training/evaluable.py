"""What can be evaluated: each served graph of a bundle, or a checkpoint, with all that its report says of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.bundle import MANIFEST, Bundle, BundleError, Precision, read_json
from app.runtime.session import SessionError
from app.serving.sources import read_folder
from training.config import EvaluationConfig, RecipeError
from training.data import Labeling
from training.encoders import UnsupportedModelError, check_vocabulary, family_of, load_checkpoint, load_tokenizer
from training.encoders.loading import reason_of
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.tasks import task_of_config, training_task
from training.tasks.base import TrainingTask

MOST_POSITIONS = 512  # tokens: a checkpoint that takes longer texts is scored on texts cut at this length

log = logging.getLogger(__name__)

Predict = Callable[[Sequence[Any]], Any]  # from examples to predictions of the task's own form


@dataclass(frozen=True)
class Variant:
    """One model to score. `open` loads it, which happens just before it is scored."""

    name: str
    open: Callable[[], tuple[Predict, Scoring]]


@dataclass(frozen=True)
class Evaluable:
    """A model to evaluate, and what is known of how it was made; `bundle` is that of its graphs, if it is one."""

    title: str
    task: TrainingTask[Any, Any]
    labeling: Labeling
    variants: Sequence[Variant]
    bundle: Bundle | None = None
    about: dict[str, object] = field(default_factory=dict)
    recipe: dict[str, Any] | None = None
    history: dict[str, Any] | None = None

    def evaluate(self, examples: Sequence[Any], split: str, config: EvaluationConfig, seed: int) -> list[Evaluation]:
        """Score every variant on examples of a split."""
        evaluations = []
        metric = self.task.main_metric(self.labeling)
        for variant in self.variants:
            log.info("scoring %s on %d examples", variant.name, len(examples))
            predict, scoring = variant.open()
            trial = Trial(self.task.name, metric, variant.name, split, config, seed)
            predictions = predict(examples)
            evaluations.append(self.task.evaluate(examples, predictions, self.labeling, scoring, trial))
        return evaluations


def is_bundle(folder: Path) -> bool:
    """Return whether a folder holds a manifest or ONNX graphs, rather than a checkpoint."""
    return (folder / MANIFEST).is_file() or any(folder.glob("model*.onnx")) or any(folder.glob("onnx/model*.onnx"))


def bundle_evaluable(folder: Path, precisions: Sequence[Precision] | None = None) -> Evaluable:
    """Return the graphs of a bundle, by default all that a CPU runs; raises `RecipeError` when it has none of these."""
    bundle = read(folder)
    manifest = bundle.manifest
    if missing := [each for each in precisions or () if each not in manifest.graphs]:
        raise RecipeError(f"{folder}: has no {missing[0]} graph, only {', '.join(manifest.graphs)}")
    chosen = list(precisions or manifest.graphs)
    if "fp16" in chosen and not precisions:
        log.warning("fp16 needs CUDA and is not scored here")
        chosen.remove("fp16")
    if not chosen:
        raise RecipeError(f"{folder}: has no graph that a CPU runs; evaluate the checkpoint that it was made of")
    task = training_task(manifest.task)

    def opener(precision: Precision) -> Callable[[], tuple[Predict, Scoring]]:
        def open_graph() -> tuple[Predict, Scoring]:
            try:
                graph = ServedGraph(bundle, precision)
            except SessionError as error:
                raise RecipeError(f"{folder}: the {precision} graph does not run here: {error}") from error
            fitted = manifest.graphs[precision]
            return lambda examples: task.predict_graph(graph, examples), Scoring(fitted.temperature, fitted.thresholds)

        return open_graph

    sources = manifest.provenance.get("data") or ()
    return Evaluable(
        f"{manifest.name}:{manifest.version}",
        task,
        task.labeling_of(bundle.config),
        [Variant(precision, opener(precision)) for precision in chosen],
        bundle,
        about={
            "trained from": manifest.provenance.get("base", "unknown"),
            "trained on": "; ".join(sources) or "unknown",
        },
        recipe=manifest.provenance.get("training"),
    )


def checkpoint_evaluable(source: str) -> Evaluable:
    """Return a checkpoint, in fp32; raises `UnsupportedModelError` or `RecipeError` when it cannot be used."""
    model = load_checkpoint(source)
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    config["id2label"] = {str(key): label for key, label in (config.get("id2label") or {}).items()}
    try:
        tokenizer = load_tokenizer(source)
        check_vocabulary(tokenizer, model)
        task = task_of_config(config)
        labeling = task.labeling_of(config)
        task.adapt(model, source, {})
    except (UnsupportedModelError, BundleError) as error:
        raise RecipeError(f"{source}: cannot be evaluated: {reason_of(error)}") from error
    length = min(MOST_POSITIONS, family_of(model).positions(model.config), task.longest(model) or MOST_POSITIONS)
    run = Path(source).parent
    recipe = json_beside(run / "recipe.json")
    by_windows = bool(((recipe or {}).get("data") or {}).get("windows"))  # as it was trained and is served

    def predict(examples: Sequence[Any]) -> Any:
        method = task.predict_windows if by_windows else task.predict_checkpoint
        return method(model, tokenizer, examples, length)

    return Evaluable(
        Path(source).name if Path(source).is_dir() else source,
        task,
        labeling,
        [Variant("checkpoint fp32", lambda: (predict, Scoring()))],
        recipe=recipe,
        history=json_beside(run / "history.json"),
    )


def read(folder: Path) -> Bundle:
    """Read a bundle wherever it lies: its name and version are those of its manifest."""
    try:
        if (folder / MANIFEST).is_file():
            manifest = read_json(folder / MANIFEST)
            return read_folder(folder, name=str(manifest.get("name")), version=int(manifest.get("version", 1)))
        return read_folder(folder, name="model", version=1)
    except (BundleError, ValueError) as error:
        raise RecipeError(f"{folder}: {str(error).rstrip('.')}") from error


def json_beside(path: Path) -> dict[str, Any] | None:
    """Read what a run left beside its checkpoint, if it did."""
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
