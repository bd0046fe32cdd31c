"""What to type next, at the end of a training."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from app.bundle import Bundle, read_bundle
from app.tasks import task_named


def say_next(folder: Path, run_dir: Path) -> None:
    """Print the commands that look at, serve, ask and improve a bundle, on standard error."""
    bundle = read_bundle(folder, name=folder.parent.name, version=int(folder.name))
    sys.stderr.write("\n".join(["", *next_steps(bundle, run_dir), ""]))


def next_steps(bundle: Bundle, run_dir: Path) -> list[str]:
    """Return a line for each step."""
    name, models = bundle.manifest.name, shlex.quote(str(bundle.path.parent.parent))
    body = json.dumps(dict(task_named(bundle.manifest.task).example), ensure_ascii=False).replace("'", "'\\''")
    lines = [
        "Next:",
        f"  roberta-serve --models {models}",
        f"  curl http://localhost:8000/models/{name} -H 'Content-Type: application/json' -d '{body}'",
        f"  roberta-serve predict {name} FILE.csv -o answered.csv --models {models}",
    ]
    report = run_dir / "report" / "report.html"
    return [*lines, f"  open {shlex.quote(str(report))}"] if report.is_file() else lines
