"""The report that a person can look at, and the files that a program can read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from training.evaluation.page import About, page_of, without_paths
from training.evaluation.record import Evaluation

TEMPLATE = Path(__file__).with_name("report.html.jinja")
SCRIPT = Path(__file__).with_name("report.js")  # the page allows this script alone, by its hash


def write_report(
    folder: Path,
    evaluations: Sequence[Evaluation],
    *,
    title: str,
    history: Mapping[str, Any] | None = None,
    data: Mapping[str, object] | None = None,
    recipe: Mapping[str, Any] | None = None,
    command: str | None = None,
    about: About | None = None,
) -> Path:
    """Write `report.html`, `metrics.json` and `predictions.jsonl` into `folder`; return the page's path.

    `evaluations`: a variant each; the first, which should be the one that is served, is shown in detail.
    `history`: what history.json of a run holds, for the learning curves. `data`: what there is to say of the
    data, by name. `recipe`: the run's, dumped. `command`: what to run for the same again. `about`: costs,
    labels and findings. Of a path in these, only the last part is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = json.dumps(metrics_of(title, evaluations), indent=2, ensure_ascii=False)
    (folder / "metrics.json").write_text(metrics + "\n", encoding="utf-8")
    with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for evaluation in evaluations:
            for row in evaluation.predictions:
                file.write(json.dumps({"variant": evaluation.variant} | row, ensure_ascii=False) + "\n")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = page_of(evaluations, title, history or {}, data or {}, recipe or {}, command, about or About())
    path = folder / "report.html"
    script = SCRIPT.read_text(encoding="utf-8").strip()
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    path.write_text(template.render(page, script=Markup(script), script_hash=hashed), encoding="utf-8")
    return path


def metrics_of(title: str, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return the content of metrics.json."""
    first = evaluations[0]
    return {
        "title": without_paths(title),
        "task": first.task,
        "problem_type": first.problem_type,
        "main_metric": first.main_metric,
        "variants": {each.variant: variant_json(each) for each in evaluations},
    }


def variant_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "split": evaluation.split,
        "examples": evaluation.count,
        "metrics": {
            name: {"value": value, "interval_95": evaluation.intervals.get(name)}
            for name, value in evaluation.metrics.items()
        },
        "tables": {
            name: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            for name, table in evaluation.tables.items()
        },
    }
