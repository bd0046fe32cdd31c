"""The comparison of servers, from the file that `python -m benchmarks.http --json FILE` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.material import Plan, Section, median_of
from benchmarks.report import table

METHOD = (
    "`python -m benchmarks.http --json FILE`: wrk in a closed loop, each server with the settings that did best for "
    "it; see benchmarks/README.md."
)
FIGURES = {"requests_per_s": ("requests/s", 0), "p50_ms": ("p50 ms", 1), "p99_ms": ("p99 ms", 1)}


def read(path: Path) -> Section:
    """Raises `KeyError` when the file is not of that command."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    tables = [render(found["servers"], text_set) for text_set in found["sets"]]
    about = f"{found['machine']} {Plan(found['rounds'], found['seconds'])}"
    return Section("Requests per second beside other servers", f"{METHOD} {about}", tables)


def render(servers: Sequence[dict[str, Any]], text_set: dict[str, Any]) -> str:
    """Render one set of texts: a row for each server, the figures of each number of connections beside each other."""
    name, tokens = text_set["name"], text_set["tokens"]
    measured = {
        server["name"]: {m["connections"]: m["rounds"] for m in server["measured"] if m["texts"] == name}
        for server in servers
    }
    connections = sorted({each for by_connections in measured.values() for each in by_connections})
    header = ["server", *(f"{title} at {c}" for c in connections for title, _ in FIGURES.values())]
    rows = [
        [server, *(cell(by_connections.get(c), figure) for c in connections for figure in FIGURES)]
        for server, by_connections in measured.items()
        if by_connections
    ]
    about = f"**{name}: {text_set['texts']} texts, {min(tokens)} to {max(tokens)} tokens**"
    return f"{about}\n\n{table(header, rows)}"


def cell(rounds: Sequence[dict[str, float]] | None, figure: str) -> str:
    return "-" if rounds is None else median_of([each[figure] for each in rounds], FIGURES[figure][1])
