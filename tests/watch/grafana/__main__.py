"""Holds the dashboards against Grafana's own types and code, from npm: `make dashboards-check`.

Every dashboard, and the options, fields and mappings of its panels, must be what `@grafana/schema` allows; what
`@grafana/data` shows where a number is not there must not be green. Grafana itself is not in any of the registries.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.watch.definitions import DASHBOARDS, dashboards, panels

COLORS = Path(__file__).with_name("colors.cjs")
TYPES = {"stat": "Stat", "timeseries": "Timeseries", "heatmap": "Heatmap", "table": "Table", "text": "Text"}
FIELDS = ("timeseries", "heatmap")  # which have options for each field
OF_PROMETHEUS = ("expr", "titleFormat", "textFormat", "step")  # what its annotations have beside Grafana's own fields
GREEN = "#73BF69"
GENERATED = "@grafana/schema/dist/types/raw"
TSC = (
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--moduleResolution",
    "node",
    "--module",
    "commonjs",
    "--target",
    "es2020",
)
# JSON has strings where the types have enumerations, and leaves out what has a default.
HEAD = """
type Plain<T> = T extends string ? T | `${T}` : T extends object ? { [K in keyof T]?: Plain<T[K]> } : T;
"""


def program() -> str:
    """Return a program in TypeScript that gives each dashboard and each panel its type."""
    lines = [f'import type {{ Dashboard }} from "{GENERATED}/dashboard/x/types.gen";']
    for kind, name in TYPES.items():
        names = f"Options as {name}" + (f", FieldConfig as {name}Field" if kind in FIELDS else "")
        lines.append(f'import type {{ {names} }} from "{GENERATED}/composable/{kind}/panelcfg/x/types.gen";')
    lines.append(HEAD)
    for name, dashboard in dashboards().items():
        lines.append(constant(name, "Dashboard", without_what_sources_add(dashboard)))
        for panel in panels(dashboard):
            kind, one = TYPES[panel["type"]], f"{name}{panel['id']}"
            lines.append(constant(one, kind, panel["options"]))
            if panel["type"] in FIELDS:
                lines.append(constant(f"{one}field", f"{kind}Field", panel["fieldConfig"]["defaults"]["custom"]))
    return "\n".join(lines)


def constant(name: str, kind: str, value: Any) -> str:
    return f"export const {name}: Plain<{kind}> = {json.dumps(value)};"


def without_what_sources_add(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard without the fields of variables and annotations that a data source defines."""
    marks = [
        {key: value for key, value in mark.items() if key not in OF_PROMETHEUS}
        for mark in dashboard["annotations"]["list"]
    ]
    choices = [
        {key: value for key, value in choice.items() if key != "definition"}
        for choice in dashboard["templating"]["list"]
    ]
    return {**dashboard, "annotations": {"list": marks}, "templating": {"list": choices}}


def complaints(modules: Path) -> list[str]:
    """Return what the compiler says against the dashboards."""
    with tempfile.TemporaryDirectory(dir=modules.parent) as name:
        file = Path(name) / "dashboards.ts"
        file.write_text(program(), "utf-8")
        line = [str(modules / ".bin/tsc"), *TSC, str(file)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=300)
    return done.stdout.splitlines() or ([done.stderr] if done.returncode else [])


def colors(modules: Path) -> dict[str, list[list[str]]]:
    """Return what each number shows where it is not there, 0 and 1: the text and the color."""
    shown: dict[str, list[list[str]]] = {}
    for path in DASHBOARDS:
        line = ["node", str(COLORS), str(modules), str(path)]
        done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
        shown |= json.loads(done.stdout)
    return shown


def main() -> int:
    modules = Path(sys.argv[1]).resolve() / "node_modules"
    wrong = complaints(modules)
    for title, values in colors(modules).items():
        say(f"{title:24}" + "".join(f"{text:>10} {color:8}" for text, color in values))
        (_, missing), *_ = values
        if missing == GREEN:
            wrong.append(f"{title} is green where there is no data")
    say("\n".join(wrong) or "Every dashboard is what Grafana's types allow, and none is green without data.")
    return int(bool(wrong))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
