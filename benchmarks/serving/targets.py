"""The project's targets over HTTP beside what was reached. Printed; nothing is asserted."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.bundle import Precision
from benchmarks.serving.results import LOADED, SINGLE, Cell, Contender, Results
from benchmarks.serving.texts import TextSet

TIMES_PEERS: Mapping[tuple[str, Precision], float] = {  # requests per second at 32 connections
    ("short", "int8"): 5.0,
    ("mixed", "int8"): 7.0,
    ("short", "fp32"): 2.0,
    ("mixed", "fp32"): 3.5,
}
NEVER_SLOWER = 1.0
EFFICIENCY = 0.8


@dataclass(frozen=True, slots=True)
class Target:
    """`wanted` and `reached` in the unit that `what` names; no `wanted` where none was set."""

    what: str
    wanted: float | None
    reached: float

    def row(self) -> list[str]:
        return [self.what, "-" if self.wanted is None else f"{self.wanted:g}", f"{self.reached:.2f}"]


def targets(results: Results, text_set: TextSet) -> list[Target]:
    """Return the targets that can be judged by what was measured with one set of texts."""
    return [
        target
        for contender in results.ours(text_set.name)
        for target in (*against_peers(results, contender, text_set), *against_raw(results, contender, text_set))
    ]


def against_peers(results: Results, ours: Contender, text_set: TextSet) -> Iterable[Target]:
    """int8 is held against the best peer of any precision, fp32 against the best in fp32."""
    rivals = results.peers(text_set.name, None if ours.precision == "int8" else ours.precision)
    if not rivals:
        return
    for connections, wanted in ((LOADED, TIMES_PEERS.get((text_set.name, ours.precision))), (SINGLE, NEVER_SLOWER)):
        cell = Cell(text_set.name, connections)
        best = max(rivals, key=lambda peer: peer.median(cell, "requests_per_s"))
        yield Target(
            f"{ours.precision}, {connections} connection{'s' if connections > 1 else ''}: times the best peer ({best})",
            wanted,
            times(ours, best, cell),
        )


def against_raw(results: Results, ours: Contender, text_set: TextSet) -> Iterable[Target]:
    if not any(way.precision == ours.precision for way in results.ceilings.measured(text_set.name)):
        return
    loaded, name = Cell(text_set.name, LOADED), text_set.name
    reached = median_tokens_per_s(ours, text_set) / results.ceilings.tokens_per_s(ours.precision, name)
    taken = load_share(ours, loaded, results.cores)
    over_ms = ours.median(Cell(name, SINGLE), "p50_ms") - results.ceilings.single_ms(ours.precision, name)
    yield Target(f"{ours.precision}, {SINGLE} connection: ms of p50 over the fastest `session.run`", None, over_ms)
    yield Target(f"{ours.precision}: useful tokens/s, share of the best raw arrangement", EFFICIENCY, reached)
    yield Target(
        f"{ours.precision}: the same of the machine without the {taken:.1%} of it that wrk took",
        EFFICIENCY,
        reached / (1 - taken),
    )


def times(ours: Contender, peer: Contender, cell: Cell) -> float:
    return ours.median(cell, "requests_per_s") / peer.median(cell, "requests_per_s")


def load_share(contender: Contender, cell: Cell, cores: int) -> float:
    """Return the share of the machine's CPU time that the load generator took."""
    return contender.median(cell, "wrk_cpu_ms") / 1000 * contender.median(cell, "requests_per_s") / cores


def median_tokens_per_s(contender: Contender, text_set: TextSet) -> float:
    loads = contender.loads[Cell(text_set.name, LOADED)]
    return float(statistics.median(load.tokens_per_s(text_set.tokens) for load in loads))
