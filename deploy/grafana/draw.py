"""Writes the dashboards that Grafana reads: `python -m deploy.grafana.draw`."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.grafana.capacity import capacity
from deploy.grafana.models import models
from deploy.grafana.overview import overview
from deploy.grafana.runbook import runbook

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = {"overview": overview, "models": models, "capacity": capacity, "runbook": runbook}


def drawings() -> dict[str, str]:
    """Return the text of each file, by its name."""
    return {
        f"{name}.json": json.dumps(draw(), indent=1, ensure_ascii=False) + "\n" for name, draw in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for name, text in drawings().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
