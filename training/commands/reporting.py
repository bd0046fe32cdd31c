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
from training.encoders.loading import load_checkpoint
from training.evaluation import torch_classifier
from training.evaluation.report import write_report
from training.evaluation.score import calibrate
from training.evaluation.subjects import bundle_subject, checkpoint_evaluation
from training.export.publish import Material
from training.fit.bases import longest_input


def report_run(recipe: Recipe, material: Material, bundle: Path, run_dir: Path) -> Path:
    """Score what serves and what it was made from, show the metrics and write `run_dir`/report.

    The test split is scored, or the validation split where there is no test.
    """
    split = "test" if material.test else "validation"
    examples = material.test or material.validation
    served = bundle_subject(bundle)
    model, tokenizer = load_checkpoint(material.checkpoint), AutoTokenizer.from_pretrained(material.checkpoint)
    length = longest_input(model, recipe.export.max_length)
    labels, kind = served.labels, served.problem_type
    calibration = calibrate(torch_classifier(model, tokenizer, length), material.validation, labels, kind)
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
    cut = f"PyTorch; a text is cut at {length} tokens, where the graphs answer it whole, by windows"
    sizes = {"training": material.texts, "validation": material.validation, "test": material.test}
    return write_report(
        run_dir / "report",
        evaluations,
        title=served.title,
        history=json.loads((run_dir / "history.json").read_text(encoding="utf-8")),
        data={f"{name} examples": f"{len(rows):,}" for name, rows in sizes.items()}
        | served.about
        | {checkpoint.variant: cut},
        recipe=material.training,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
