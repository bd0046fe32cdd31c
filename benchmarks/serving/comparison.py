"""The comparison of servers, from the file that `python -m benchmarks.http --json FILE` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.material import Plan, Section, Target, median_of
from benchmarks.serving.raw import Arrangement
from benchmarks.tables import table

METHOD = (
    "`python -m benchmarks.http --json FILE`: wrk in a closed loop, each server with the settings that did best for "
    "it; see benchmarks/README.md."
)
FIGURES = {"requests_per_s": ("requests/s", 0), "p50_ms": ("p50 ms", 1), "p99_ms": ("p99 ms", 1)}


def read(path: Path) -> Section:
    """Raises `KeyError` when the file is not of that command."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    tables = [
        part
        for text_set in found["sets"]
        for part in (
            render(found["servers"], text_set),
            settings(found["servers"], text_set["name"]),
            ceilings(found["raw"], text_set["name"]),
        )
    ]
    about = f"{found['machine']} {Plan(found['rounds'], found['seconds'])}"
    return Section("Requests per second beside other servers", f"{METHOD} {about}", tables, targets(found["targets"]))


def targets(judged: Sequence[dict[str, Any]]) -> list[Target]:
    return [
        Target(f"{each['texts']} texts, {each['what']}", f"at least {each['wanted']:g}", f"{each['reached']:.2f}")
        for each in judged
        if each["wanted"] is not None
    ]


def settings(servers: Sequence[dict[str, Any]], name: str) -> str:
    """Say which settings did best for whom."""
    lines = [
        f"- {server['name']}: "
        + "; ".join(f"{m['settings']} at {m['connections']}" for m in server["measured"] if m["texts"] == name)
        for server in servers
        if any(m["settings"] for m in server["measured"])
    ]
    return "\n".join(["Settings, by connections:", "", *lines]) if lines else ""


def ceilings(raw: Sequence[dict[str, Any]], name: str) -> str:
    """Render `session.run` without a server, as often as it was measured in each round."""
    rows = [
        [
            str(Arrangement(way["precision"], way["budget"], way["callers"], way["threads"])),
            *(median_of([rate[figure] for rate in way["rates"]], 0) for figure in ("texts_per_s", "tokens_per_s")),
        ]
        for way in raw
        if way["texts_set"] == name
    ]
    return table(["`session.run` without a server", "texts/s", "tokens/s"], rows) if rows else ""


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
