"""Write the tables of docs/bundles.md anew from the manifest's own fields: `python docs/bundles.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pydantic import BaseModel

from app.bundle.manifest import Graph, Manifest, Probe

PAGE = Path(__file__).with_name("bundles.md")
TABLES: dict[str, type[BaseModel]] = {"manifest": Manifest, "graph": Graph, "probe": Probe}
BETWEEN = re.compile(r"(<!-- (\w+) -->\n)(?:\|.*\n)*")


def table_of(model: type[BaseModel]) -> str:
    """Return a row for each field: whether it must be there, and what it says."""
    rows = ["| field | | what it says |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        needed = "needed" if field.is_required() else ""
        rows.append(f"| `{name}` | {needed} | {field.description or MEANT[name]} |")
    return "".join(f"{row}\n" for row in rows)


# Of the fields whose names say enough in the code.
MEANT = {
    "schema_version": "1: the version of this format.",
    "name": "Folder of the bundle in the models folder.",
    "version": "Folder of the version in that of the bundle, from 1.",
    "problem_type": "Of a classifier: one label, several, or a number (`single_label_classification`, "
    "`multi_label_classification`, `regression`).",
    "graphs": "By precision, `fp32`, `fp16`, `int8` or `int4`: what is served, below.",
    "probes": "Texts with the trained checkpoint's own answers, below; 1,000 at most.",
    "provenance": "Base, data by their SHA-256, recipe, versions and scores. The card says it in words.",
    "text": "The text.",
    "columns": "Columns of the output that `logits` has; none: all.",
    "logits": "What the checkpoint answered: a list for each row.",
}


def written(page: str) -> str:
    return BETWEEN.sub(lambda found: found[1] + table_of(TABLES[found[2]]), page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
