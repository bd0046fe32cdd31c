"""The runbook of docs/operations.md as a dashboard, so that it is at hand wherever the alerts are looked at."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.grafana.panels import WIDTH, Json, dashboard

PAGE = Path(__file__).parents[2] / "docs/operations.md"
HEADING = "## Runbook\n"
LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")  # of a page that is not here


def runbook() -> Json:
    _, _, entries = PAGE.read_text(encoding="utf-8").partition(HEADING)
    panel = {
        "id": 1,
        "type": "text",
        "title": "Runbook",
        "description": "What each alert means, what to look at, and what to do.",
        "gridPos": {"h": 40, "w": WIDTH, "x": 0, "y": 0},
        "options": {"mode": "markdown", "content": LINK.sub(r"\1", entries.partition("\n## ")[0]).strip()},
    }
    return dashboard(
        "roberta-runbook", "RoBERTa: runbook", "What to do when an alert fires.", [panel], chooses_model=False
    )
