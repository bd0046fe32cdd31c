"""The report of a run: each graph that was made of the checkpoint, on the test split."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from rich.console import Console

from training.commands.evaluate import metrics_table
from training.evaluation.report import write_report
from training.export.publish import Published
from training.trained import TrainedCheckpoint

NOT_SHIPPED = "the checkpoint's own weights, in a graph that was verified against PyTorch and is not in the bundle"


def report_run(checkpoint: TrainedCheckpoint, published: Published, run_dir: Path) -> Path | None:
    """Show the metrics and write `run_dir`/report; None where there was nothing to score on."""
    if not published.evaluations:
        return None
    manifest, evaluations = published.manifest, published.evaluations
    Console(stderr=True).print(metrics_table(evaluations))
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
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )


def about(published: Published) -> dict[str, object]:
    """Return what the report says of where a bundle comes from."""
    provenance = published.manifest.provenance
    return {
        "trained from": provenance.get("base", "unknown"),
        "trained on": "; ".join(provenance.get("data") or ()) or "unknown",
    }
