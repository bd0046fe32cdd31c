"""What a training ends with: its scores, its report, and what to type next."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from app.bundle import Bundle, read_bundle
from app.tasks import task_named
from training.commands.evaluate import metrics_table
from training.evaluation.record import Evaluation

MOST_CHARACTERS = 100  # of a text in a command


class Made(NamedTuple):
    """A bundle that exists, and the run that it is of; what it scored where that was measured by this command."""

    folder: Path
    run_dir: Path
    evaluations: Sequence[Evaluation] = ()
    report: Path | None = None


def say_made(made: Made | None) -> str:
    """Show the scores, the report and what to type next, on standard error; return the bundle's folder.

    In a process that only helped to train there is nothing to say.
    """
    if made is None:
        return ""
    console = Console(stderr=True)
    if made.evaluations:
        console.print(metrics_table(made.evaluations))
    if made.report is not None:
        console.out(f"report: {made.report}", highlight=False)
    say_next(made.folder, made.run_dir)
    return str(made.folder)


def say_next(folder: Path, run_dir: Path) -> None:
    """Print the commands that look at, serve, ask and improve a bundle, on standard error."""
    bundle = read_bundle(folder, name=folder.parent.name, version=int(folder.name))
    sys.stderr.write("\n".join(["", *next_steps(bundle, run_dir), ""]))


def example_of(bundle: Bundle) -> dict[str, Any]:
    """Return the body of a request: the task's example, about a text of the model's own where it is about one text."""
    body = dict(task_named(bundle.manifest.task).example)
    texts = [probe.text for probe in bundle.manifest.probes if len(probe.text) <= MOST_CHARACTERS]
    return body | {"inputs": texts[0]} if texts and isinstance(body.get("inputs"), str) else body


def next_steps(bundle: Bundle, run_dir: Path) -> list[str]:
    """Return a line for each step."""
    name, models = bundle.manifest.name, shlex.quote(str(bundle.path.parent.parent))
    body = json.dumps(example_of(bundle), ensure_ascii=False).replace("'", "'\\''")
    lines = [
        "Next:",
        f"  roberta-serve --models {models}",
        f"  curl http://localhost:8000/models/{name} -H 'Content-Type: application/json' -d '{body}'",
        f"  roberta-serve predict {name} FILE.csv -o answered.csv --models {models}",
    ]
    report = run_dir / "report" / "report.html"
    return [*lines, f"  open {shlex.quote(str(report))}"] if report.is_file() else lines
