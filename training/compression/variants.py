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
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.bundle import Bundle, Precision, read_bundle
from training.compression.teacher import load_teacher
from training.config import Recipe
from training.encoders.loading import load_checkpoint
from training.evaluation import main_metric
from training.evaluation.score import Examples, calibrate, score
from training.evaluation.served import ServedGraph
from training.export.publish import Material, Publication
from training.fit.bases import load_tokenizer

SPEED_TEXTS = 256  # of the scored split, that the speed is measured on
ROUNDS = 5  # the median counts, and variants take turns, so that a busy machine is busy for all of them


@dataclass(frozen=True)
class Variant:
    """A graph to measure: `file` is the ONNX file, `parameters` are the checkpoint's."""

    name: str
    graph: ServedGraph
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


def compare(
    recipe: Recipe, teacher: str, student: Path, bundle: Path, validation: Examples, test: Examples
) -> list[Cost]:
    """Measure the teacher in fp32, the student in fp32, and each graph of the student's bundle that a CPU runs.

    `teacher` and `student` are checkpoints, `bundle` is the folder that was published. Scores are of the test
    split, or of validation where there is no test.
    """
    served = read_bundle(bundle, name=bundle.parent.name, version=int(bundle.name))
    manifest, tokenizer = served.manifest, load_tokenizer(str(student))
    models = {
        "teacher": (load_teacher(teacher, manifest.task, manifest.labels), load_tokenizer(teacher)),
        "student": (load_checkpoint(str(student)), tokenizer),
    }
    with TemporaryDirectory() as folder:
        variants = []
        for name, (model, own_tokenizer) in models.items():
            model.config.problem_type = manifest.problem_type  # a teacher from elsewhere may not say
            exported = export_alone(recipe, model, own_tokenizer, Path(folder) / name)
            variants.append(variant_of(f"{name} fp32", exported, "fp32", model.num_parameters()))
        others: list[Precision] = [p for p in manifest.graphs if p not in ("fp32", "fp16")]
        parameters = variants[-1].parameters
        variants += [variant_of(f"student {precision}", served, precision, parameters) for precision in others]
        return measure(variants, validation, test, tokenizer)


def export_alone(recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Bundle:
    """Export a checkpoint in fp32 into `folder`, as it would be served; nothing is published."""
    folder.mkdir()
    export = recipe.export.model_copy(update={"precisions": ("fp32",)})
    work = Publication(recipe.model_copy(update={"export": export}), Material(""), model, tokenizer, folder, 1)
    work.write_graphs()
    return work.bundle


def variant_of(name: str, bundle: Bundle, precision: Precision, parameters: int) -> Variant:
    return Variant(name, ServedGraph(bundle, precision), bundle.graph_file(precision), parameters)


def measure(
    variants: Sequence[Variant], validation: Examples, test: Examples, tokenizer: PreTrainedTokenizerBase
) -> list[Cost]:
    """Score every variant, calibrated on `validation`, and time all of them in turn on the same texts."""
    examples, split = (test, "test") if test else (validation, "validation")
    inputs = [example.model_input if hasattr(example, "model_input") else example.text for example in examples]
    inputs = inputs[:SPEED_TEXTS]
    seconds = seconds_of(variants, inputs)
    costs = []
    for variant in variants:
        manifest = variant.graph.task.manifest
        metric = main_metric(manifest.task, manifest.problem_type)
        calibration = calibrate(variant.graph.classify, validation, manifest.labels, manifest.problem_type)
        scores = score(variant.graph, examples, manifest.labels, tokenizer, calibration)
        costs.append(
            Cost(
                variant=variant.name,
                size_mb=round(variant.file.stat().st_size / 1e6, 2),
                parameters=variant.parameters,
                texts_per_second=round(len(inputs) / seconds[variant.name], 1),
                tokens_per_second=round(tokens_of(variant.graph, inputs) / seconds[variant.name], 1),
                metric=metric,
                split=split,
                score=scores[metric],
            )
        )
    return costs


def seconds_of(variants: Sequence[Variant], inputs: Sequence[Any]) -> dict[str, float]:
    """Return the median seconds that each variant takes for all inputs, from raw text to logits."""
    taken: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for _ in tqdm(range(ROUNDS + 1), desc="speed", unit="round", leave=False, disable=None):
        for variant in variants:
            started = time.perf_counter()
            variant.graph.predict(inputs)
            taken[variant.name].append(time.perf_counter() - started)
    return {name: median(each[1:]) for name, each in taken.items()}  # the first round warms up


def tokens_of(graph: ServedGraph, inputs: Sequence[Any]) -> int:
    """Return the tokens that the graph computes for the inputs, special tokens and overlaps of windows included."""
    items = [each if isinstance(each, str) else {"text": each[0], "text_pair": each[1]} for each in inputs]
    encoded = graph.task.encode(graph.task.request_type.model_validate({"inputs": items}))
    return sum(len(window) for window in encoded.windows)


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
