"""`roberta-train evaluate`: from a published bundle or a checkpoint, and labeled data, to a report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from training.commands.recipes import evaluation_recipe
from training.config import RecipeError
from training.data import DataError, source_of
from training.evaluable import Evaluable, bundle_evaluable, checkpoint_evaluable, is_bundle
from training.evaluation.costs import MOST_TEXTS, GraphCost, costs_of
from training.evaluation.metrics import metric_name, number
from training.evaluation.page import About
from training.evaluation.record import Evaluation
from training.evaluation.report import write_report
from training.progress import Phases


def run(options: argparse.Namespace) -> str:
    """Score every variant of the model on the file, show the metrics, and return the path of the report."""
    recipe = evaluation_recipe(options)
    source = source_of(recipe.data, options.data, "test")
    if source is None:
        raise DataError("there is nothing to score on; give labeled examples with --test FILE")
    folder = Path(options.model)
    bundled = is_bundle(folder)
    if options.precision and not bundled:
        raise RecipeError(f"--precision: {options.model} is a checkpoint, which has none; leave it out")
    evaluable = bundle_evaluable(folder, options.precision) if bundled else checkpoint_evaluable(options.model)
    limit = recipe.training.max_samples
    examples = evaluable.task.read_examples(source, recipe.data, evaluable.labeling, limit, recipe.seed)
    out: Path = options.out or Path("reports") / evaluable.title.replace(":", "-")
    with Phases(("score", "report")) as phases:
        with phases("score"):
            evaluations = evaluable.evaluate(examples, "test", recipe.evaluation, recipe.seed)
        with phases("report"):
            report = write_report(
                out,
                evaluations,
                title=evaluable.title,
                history=evaluable.history,
                data=about_data(evaluable, source, examples),
                recipe=evaluable.recipe,
                command=command_line(options),
                about=About(costs_here(evaluable, examples)),
            )
    Console().print(metrics_table(evaluations))
    return str(report)


def metrics_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return a table with a row per metric and a column per variant, 95 % intervals in brackets."""
    table = Table("metric", *(each.variant for each in evaluations))
    for name in dict.fromkeys(name for each in evaluations for name in each.metrics):
        table.add_row(metric_name(name)[0], *(cell(each, name) for each in evaluations))
    return table


def cell(evaluation: Evaluation, name: str) -> str:
    if name not in evaluation.metrics:
        return ""
    value = number(evaluation.metrics[name])
    if name not in evaluation.intervals:
        return value
    low, high = evaluation.intervals[name]
    return f"{value} ({number(low)}..{number(high)})"  # without a space to break at: two variants fit into 80 columns


def about_data(evaluable: Evaluable, source: object, examples: Sequence[Any]) -> dict[str, object]:
    return {"scored on": source, "examples": f"{len(examples):,}"} | evaluable.about


def costs_here(evaluable: Evaluable, examples: Sequence[Any]) -> Sequence[GraphCost]:
    """Measure the graphs of a bundle on the first examples; nothing of a checkpoint, which has none."""
    task, bundle = evaluable.task, evaluable.bundle
    if bundle is None:
        return ()
    return costs_of(bundle, [task.text_of(example) for example in examples[:MOST_TEXTS]], task.calibration_window)


def command_line(options: argparse.Namespace) -> str:
    words = ["roberta-train", "evaluate", options.model]
    for option in ("test", "data"):
        if (value := getattr(options, option)) not in (None, Path()):
            words += [f"--{option}", str(value)]
    for option in ("precision", "set"):
        words += [word for value in getattr(options, option) or () for word in (f"--{option}", value)]
    return shlex.join(words)
