"""What each variant of a model costs: its size, its speed on this machine, and the task's metric."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table
from transformers import PreTrainedModel

from app.bundle import Precision, read_bundle
from training.compression.teacher import load_teacher
from training.config import ExportConfig
from training.data import Splits
from training.encoders import load_checkpoint, load_tokenizer
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.export.draft import describe
from training.export.graph import export_fp32
from training.progress import track
from training.tasks import training_task
from training.tasks.base import TrainingTask
from training.trained import TrainedCheckpoint

SPEED_TEXTS = 256  # of the scored split, that the speed is measured on
ROUNDS = 5  # of which the median counts; variants take turns, so that other load on the machine slows all alike


@dataclass(frozen=True)
class Variant:
    """A graph to measure: `file` is the ONNX file, `parameters` are the checkpoint's."""

    name: str
    graph: ServedGraph
    scoring: Scoring
    file: Path
    parameters: int


@dataclass(frozen=True)
class Cost:
    """A row of the table: `size_mb` in MB of 10**6 bytes, speeds from raw text to logits, `score` of `metric`."""

    variant: str
    size_mb: float
    parameters: int
    texts_per_second: float
    tokens_per_second: float
    metric: str
    split: str
    score: float


def compare(teacher: str, student: Path, bundle: Path, splits: Splits) -> list[Cost]:
    """Measure the teacher in fp32, the student in fp32, and each graph of the student's bundle that a CPU runs.

    `teacher` and `student` are checkpoints, `bundle` is the folder that was published. Scores are of the test
    split, or of validation where there is no test.
    """
    served = read_bundle(bundle, name=bundle.parent.name, version=int(bundle.name))
    manifest, labeling = served.manifest, splits.labeling
    models = {
        "teacher": load_teacher(teacher, manifest.task, labeling.labels),
        "student": load_checkpoint(str(student)),
    }
    with TemporaryDirectory() as folder:
        variants = []
        for (name, model), source in zip(models.items(), (teacher, str(student)), strict=True):
            model.config.problem_type = labeling.problem_type  # a teacher from elsewhere may not say
            checkpoint = TrainedCheckpoint(source, source, validation=splits.validation)
            variants.append(export_variant(name, model, checkpoint, manifest.max_length, Path(folder) / name))
        others: list[Precision] = [p for p in manifest.graphs if p not in ("fp32", "fp16")]
        for precision in others:
            fitted = Scoring(manifest.graphs[precision].temperature, manifest.graphs[precision].thresholds)
            graph = ServedGraph(served, precision)
            file = served.graph_file(precision)
            variants.append(Variant(f"student {precision}", graph, fitted, file, variants[-1].parameters))
        return measure(variants, training_task(manifest.task), splits)


def export_variant(
    name: str, model: PreTrainedModel, checkpoint: TrainedCheckpoint, max_length: int, folder: Path
) -> Variant:
    """Export a checkpoint in fp32 into `folder`, as it would be served; nothing is published."""
    folder.mkdir()
    export = ExportConfig(precisions=("fp32",), max_length=max_length)
    draft = describe(name, 1, checkpoint, (model, load_tokenizer(checkpoint.source)), export, folder)
    draft.save(export_fp32(model, *draft.task.head(draft.family, model)), "fp32")
    candidate, file = draft.open("fp32"), draft.bundle.graph_file("fp32")
    return Variant(f"{name} fp32", candidate.served, candidate.scoring, file, model.num_parameters())


def measure(variants: Sequence[Variant], task: TrainingTask[Any, Any], splits: Splits) -> list[Cost]:
    """Score every variant, and time all of them in turn on the same texts."""
    examples, split = (splits.test, "test") if splits.test else (splits.validation, "validation")
    timed, metric = examples[:SPEED_TEXTS], task.main_metric(splits.labeling)
    seconds = seconds_of(variants, task, timed)
    costs = []
    for variant in variants:
        predictions = task.predict_graph(variant.graph, examples)
        tokens = sum(len(window) for window in variant.graph.encode(task.request_body(timed)).windows)
        costs.append(
            Cost(
                variant=variant.name,
                size_mb=round(variant.file.stat().st_size / 1e6, 2),
                parameters=variant.parameters,
                texts_per_second=round(len(timed) / seconds[variant.name], 1),
                tokens_per_second=round(tokens / seconds[variant.name], 1),
                metric=metric,
                split=split,
                score=task.score(examples, predictions, splits.labeling, variant.scoring)[metric],
            )
        )
    return costs


def seconds_of(variants: Sequence[Variant], task: TrainingTask[Any, Any], examples: Sequence[Any]) -> dict[str, float]:
    """Return the median seconds that each variant takes for all examples, from raw text to logits."""
    taken: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for _ in track(range(ROUNDS + 1), "rounds"):
        for variant in variants:
            started = time.perf_counter()
            task.predict_graph(variant.graph, examples)
            taken[variant.name].append(time.perf_counter() - started)
    return {name: median(each[1:]) for name, each in taken.items()}  # the first round warms up


def costs_table(costs: Sequence[Cost]) -> Table:
    """Return the table to show: one row per variant, its speed also as a multiple of the first."""
    table = Table(title="Variants", title_justify="left")
    table.add_column("variant")
    for heading in ("MB", "parameters", "texts/s", "tokens/s", f"{costs[0].split} {costs[0].metric}"):
        table.add_column(heading, justify="right")
    for cost in costs:
        table.add_row(
            cost.variant,
            f"{cost.size_mb:.1f}",
            f"{cost.parameters:,}",
            beside_first(cost.texts_per_second, costs[0].texts_per_second),
            f"{cost.tokens_per_second:,.0f}",
            f"{cost.score:.4f}",
        )
    return table


def beside_first(speed: float, first: float) -> str:
    return f"{speed:,.0f} ({speed / first:.1f}x)"


def write_costs(costs: Sequence[Cost], file: Path) -> list[Mapping[str, Any]]:
    """Write the rows as JSON, and return them."""
    rows: list[Mapping[str, Any]] = [asdict(cost) for cost in costs]
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return rows
