"""The report of a run: each graph that was made of the checkpoint, on the test split."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from training.checking.summary import DataSummary
from training.evaluation.page import About
from training.evaluation.report import write_report
from training.export.publish import Published
from training.trained import TrainedCheckpoint

NOT_SHIPPED = "the checkpoint's own weights, in a graph that was verified against PyTorch and is not in the bundle"


def report_run(
    checkpoint: TrainedCheckpoint, published: Published, run_dir: Path, summary: DataSummary | None = None
) -> Path | None:
    """Write `run_dir`/report; None where there was nothing to score on.

    `summary`: what there is to say of the splits.
    """
    if not published.evaluations:
        return None
    manifest, evaluations = published.manifest, published.evaluations
    sizes = {"training": checkpoint.texts, "validation": checkpoint.validation, "test": checkpoint.test}
    counts: dict[str, object] = {f"{name} examples": f"{len(rows):,}" for name, rows in sizes.items()}
    left_out = {each.variant: NOT_SHIPPED for each in evaluations if each.variant not in manifest.graphs}
    return write_report(
        run_dir / "report",
        evaluations,
        title=f"{manifest.name}:{manifest.version}",
        history=json.loads((run_dir / "history.json").read_text(encoding="utf-8")),
        data=counts | about(published) | left_out,
        recipe=checkpoint.training,
        command=shlex.join(["roberta-train", *sys.argv[1:]]),
        about=about_page(published, summary),
    )


def about_page(published: Published, summary: DataSummary | None) -> About:
    """Return what was measured of the graphs, and what is said of the splits."""
    if summary is None:
        return About(published.costs)
    return About(published.costs, summary.labels, summary.examples, summary.findings)


def about(published: Published) -> dict[str, object]:
    """Return what the report says of where a bundle comes from."""
    provenance = published.manifest.provenance
    return {
        "trained from": provenance.get("base", "unknown"),
        "trained on": "; ".join(provenance.get("data") or ()) or "unknown",
    }
