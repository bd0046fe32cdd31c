"""The tables of a run, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.serving.raw import Arrangement, Rate
from benchmarks.serving.results import CONNECTIONS, LOADED, SINGLE, Cell, Contender, Results, median
from benchmarks.serving.targets import targets
from benchmarks.serving.texts import TextSet
from benchmarks.tables import table

NOT_MEASURED = "-"


def render(results: Results, text_set: TextSet) -> str:
    """Render what was measured with one set of texts; what was left out leaves no empty table."""
    measured, raw = results.measured(text_set.name), results.ceilings.measured(text_set.name)
    parts = [f"## {text_set}"]
    if measured:
        parts += [server_table(measured, text_set), settings(measured, text_set)]
    if raw:
        parts.append(raw_table(raw))
    if reached := targets(results, text_set):
        parts.append(table(["target", "at least", "reached"], [target.row() for target in reached]))
    if measured:
        parts.append(overheads(measured, text_set))
    return "\n" + "\n\n".join(part for part in parts if part)


def server_table(contenders: Iterable[Contender], text_set: TextSet) -> str:
    header = ["server"]
    for connections in CONNECTIONS:
        header += [f"req/s at {connections} (least-greatest)", "p50 ms", "p99 ms"]
    header += [f"tokens/s at {LOADED}", f"CPU ms a request at {LOADED}"]
    rows = []
    for contender in contenders:
        row = [contender.name]
        for connections in CONNECTIONS:
            loads = contender.loads[Cell(text_set.name, connections)]
            row += [spread(loads, "requests_per_s"), number(loads, "p50_ms"), number(loads, "p99_ms")]
        loads = contender.loads[Cell(text_set.name, LOADED)]
        tokens_per_s = statistics.median(load.tokens_per_s(text_set.tokens) for load in loads)
        rows.append([*row, f"{tokens_per_s:,.0f}", number(loads, "server_cpu_ms")])
    return table(header, rows)


def settings(contenders: Iterable[Contender], text_set: TextSet) -> str:
    """Say which settings did best, where several were tried."""
    lines = []
    for contender in contenders:
        if len(contender.servers) > 1:
            single, loaded = (contender.chosen[Cell(text_set.name, connections)] for connections in CONNECTIONS)
            lines.append(f"- {contender}: {single.settings} at {SINGLE}; {loaded.settings} at {LOADED}")
    return "\n".join(["The best settings of those that were tried:", "", *lines]) if lines else ""


def raw_table(rates: dict[Arrangement, list[Rate]]) -> str:
    header = ["`session.run` without a server", "texts/s (least-greatest)", "tokens/s", "p50 ms a run", "CPU ms a text"]
    rows = [
        [
            str(way),
            spread(measured, "texts_per_s"),
            f"{median(measured, 'tokens_per_s'):,.0f}",
            number(measured, "median_ms"),
            number(measured, "cpu_ms"),
        ]
        for way, measured in sorted(rates.items(), key=lambda item: item[0])
    ]
    return table(header, rows)


def overheads(contenders: Sequence[Contender], text_set: TextSet) -> str:
    wrk = [contender.median(Cell(text_set.name, LOADED), "wrk_cpu_ms") for contender in contenders]
    others = [load.others for c in contenders for cell, loads in c.loads.items() for load in loads]
    return (
        f"wrk took {min(wrk):.3f} to {max(wrk):.3f} ms of CPU a request. Other processes had "
        f"{statistics.median(others):.0%} of the machine (at most {max(others):.0%}) while servers were measured."
    )


def trial_table(results: Results) -> str:
    """Render the short trials that the settings of the peers were chosen by: requests per second."""
    cells = [Cell(text_set.name, connections) for text_set in results.sets for connections in CONNECTIONS]
    rows = [
        [str(server), *(one_trial(by_cell.get(cell)) for cell in cells)]
        for contender in results.contenders
        for server, by_cell in contender.trials.items()
    ]
    header = ["tried, req/s", *(f"{cell.texts} at {cell.connections}" for cell in cells)]
    return "\n## Settings tried\n\n" + table(header, rows) if rows else ""


def one_trial(load: Any) -> str:
    return NOT_MEASURED if load is None else f"{load.requests_per_s:,.0f}"


def agreements(results: Results) -> str:
    """Say how often the peers in dynamic int8, whose scores depend on their batches, gave the checkpoint's label."""
    lines = []
    for contender in results.contenders:
        if contender.servers[0].depends_on_batch:
            agreed, total = contender.agreement()
            lines.append(f"{contender} gave {agreed / total:.1%} of {total:,} answers the checkpoint's label.")
    return "\n" + " ".join(lines) if lines else ""


def number(measured: Iterable[Any], value: str) -> str:
    return f"{median(measured, value):.2f}"


def spread(measured: Sequence[Any], value: str) -> str:
    """Render the median, and the least and greatest of all rounds."""
    values = [getattr(one, value) for one in measured]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"
