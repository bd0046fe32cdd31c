"""The report of a run: the checkpoint and each graph that was published of it, on the test split."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from rich.console import Console
from transformers import AutoTokenizer

from training.commands.evaluate import metrics_table
from training.config import Recipe
from training.evaluation import torch_classifier
from training.evaluation.report import write_report
from training.export.loading import load_checkpoint
from training.export.score import calibrate
from training.export.subjects import bundle_subject, checkpoint_evaluation
from training.finetune import FinetuneResult


def report_run(recipe: Recipe, result: FinetuneResult, bundle: Path, run_dir: Path) -> Path:
    """Score what serves and what it was made from, show the metrics and write ``run_dir``/report.

    The test split is scored, or the validation split where there is no test.
    """
    split = "test" if result.test else "validation"
    examples = result.test or result.validation
    served = bundle_subject(bundle)
    model, tokenizer = load_checkpoint(str(result.checkpoint)), AutoTokenizer.from_pretrained(result.checkpoint)
    length, labels, kind = recipe.export.max_length, served.labels, served.problem_type
    calibration = calibrate(torch_classifier(model, tokenizer, length), result.validation, labels, kind)
    checkpoint = checkpoint_evaluation(
        model,
        tokenizer,
        examples,
        served.task,
        labels,
        kind,
        length,
        split=split,
        temperature=calibration.temperature,
        thresholds=calibration.thresholds_of(labels),
        config=recipe.evaluation,
        seed=recipe.seed,
    )
    evaluations = [*served.evaluate(examples, split, recipe.evaluation, recipe.seed), checkpoint]
    Console(stderr=True).print(metrics_table(evaluations))
    sizes = {"training": result.train_texts, "validation": result.validation, "test": result.test}
    return write_report(
        run_dir / "report",
        evaluations,
        title=served.title,
        history=json.loads((run_dir / "history.json").read_text(encoding="utf-8")),
        data={f"{name} examples": f"{len(rows):,}" for name, rows in sizes.items()} | served.about,
        recipe=recipe.model_dump(mode="json", exclude={"card"}),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
