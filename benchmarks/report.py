"""The tables of a run, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.load import Load
from benchmarks.raw import Arrangement, Rate
from benchmarks.servers import Server
from benchmarks.texts import TextSet

Loads = Mapping[tuple[Server, str, int], Sequence[Load]]
Rates = Mapping[tuple[Arrangement, str], Sequence[Rate]]
ServerLoads = Mapping[tuple[Server, int], Sequence[Load]]  # of one set of texts
RawRates = Mapping[Arrangement, Sequence[Rate]]

ALONE, LOADED = 1, 32  # connections


def render(text_set: TextSet, loads: Loads, rates: Rates) -> str:
    """Render what was measured with one set of texts."""
    mine = {
        (server, connections): found for (server, name, connections), found in loads.items() if name == text_set.name
    }
    raw = {way: found for (way, name), found in rates.items() if name == text_set.name}
    parts = [f"## {text_set}", server_table(mine), raw_table(raw), *comparisons(mine, raw), overheads(mine)]
    return "\n" + "\n\n".join(parts)


def server_table(loads: ServerLoads) -> str:
    header = ["server"]
    for connections in (ALONE, LOADED):
        header += [f"req/s at {connections} (least-greatest)", "p50 ms", "p99 ms"]
    rows = []
    for server in dict.fromkeys(server for server, _ in loads):
        row = [server.name]
        for connections in (ALONE, LOADED):
            measured = loads[server, connections]
            row += [spread(measured, "requests_per_s"), number(measured, "p50_ms"), number(measured, "p99_ms")]
        rows.append([*row, number(loads[server, LOADED], "server_cpu_ms")])
    return table([*header, f"CPU ms a request at {LOADED}"], rows)


def raw_table(rates: RawRates) -> str:
    header = ["`session.run` without a server", "texts/s (least-greatest)", "tokens/s", "p50 ms a run", "CPU ms a text"]
    rows = [
        [
            str(way),
            spread(measured, "texts_per_s"),
            f"{median(measured, 'tokens_per_s'):,.0f}",
            number(measured, "median_ms"),
            number(measured, "cpu_ms"),
        ]
        for way, measured in rates.items()
    ]
    return table(header, rows)


def comparisons(loads: ServerLoads, rates: RawRates) -> Iterable[str]:
    """Say how each of our servers stands to the best peer and to the ceiling of its precision."""
    for server in dict.fromkeys(server for server, _ in loads if server.is_ours):
        raw = {way: found for way, found in rates.items() if way.precision == server.precision}
        ceiling = max(median(found, "texts_per_s") for found in raw.values())
        alone_ms = min(median(found, "median_ms") for way, found in raw.items() if not way.budget)
        share = median(loads[server, LOADED], "requests_per_s") / ceiling
        overhead_ms = median(loads[server, ALONE], "p50_ms") - alone_ms
        yield (
            f"{server}: {times_best_peer(server, ALONE, loads):.1f} times the best pipeline at {ALONE} connection and "
            f"{times_best_peer(server, LOADED, loads):.1f} times at {LOADED}; {share:.2f} of the best raw texts/s; "
            f"alone, p50 is {overhead_ms:.1f} ms over the fastest single `session.run`."
        )


def times_best_peer(server: Server, connections: int, loads: ServerLoads) -> float:
    peers = [found for (peer, c), found in loads.items() if c == connections and not peer.is_ours]
    best = max(median(found, "requests_per_s") for found in peers)
    return median(loads[server, connections], "requests_per_s") / best


def overheads(loads: ServerLoads) -> str:
    wrk = [statistics.median(load.wrk_cpu_ms for load in found) for (_, c), found in loads.items() if c == LOADED]
    others = [load.others for found in loads.values() for load in found]
    return (
        f"wrk took {min(wrk):.3f} to {max(wrk):.3f} ms of CPU a request. Other processes had "
        f"{statistics.median(others):.0%} of the machine (at most {max(others):.0%}) while servers were measured."
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a Markdown table; all columns but the first are numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def median(measured: Sequence[Any], value: str) -> float:
    return float(statistics.median(getattr(one, value) for one in measured))


def number(measured: Sequence[Any], value: str) -> str:
    return f"{median(measured, value):.2f}"


def spread(measured: Sequence[Any], value: str) -> str:
    """Render the median, and the least and greatest of all rounds."""
    values = [getattr(one, value) for one in measured]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"
