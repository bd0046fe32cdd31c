"""Requests with many texts: how fast one client is, and what it does to the others.

python -m benchmarks.serving.client_batches --checkpoint runs/sentiment/checkpoint --data DIR
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.settings import available_cores
from benchmarks.machine import wait_until_idle
from benchmarks.serving.client import Question
from benchmarks.serving.material import (
    WARM_UP_S,
    Material,
    Plan,
    Section,
    Target,
    log,
    median_of,
    run_measurement,
    saturation,
)
from benchmarks.serving.openloop import closed_loop, drive, open_loop, percentile_ms, poisson, texts_per_s
from benchmarks.serving.raw import Ceiling, arrangements
from benchmarks.serving.servers import Running, running
from benchmarks.tables import table

SIZES = (16, 64, 256)
OTHERS = 0.2  # of saturation, in single requests
TARGET_SHARE = 0.95
PERCENTS = (50, 99)

METHOD = (
    "One connection asks requests of 16, 64 and 256 short texts, one after the other, with nobody else on the service; "
    "the raw ceiling is the best arrangement of `session.run` on the same texts without a server (see "
    "benchmarks/README.md). "
    f"The others ask single texts at {OTHERS:.0%} of saturation as a Poisson process, once without the client of 256 "
    "and once with it."
)


@dataclass
class Found:
    """One figure for each round; latencies are by percentile."""

    ceilings: list[float] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    latency_ms: dict[tuple[bool, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    beside: list[float] = field(default_factory=list)

    @property
    def shares(self) -> list[float]:
        return [rate / most for rate, most in zip(self.rates[max(SIZES)], self.ceilings, strict=True)]


def measure(material: Material, plan: Plan) -> Section:
    found = Found()
    singles = material.questions(material.short.texts)
    batches = {size: material.batch_questions(material.short.texts, size) for size in SIZES}
    for number in plan.each_round():
        found.ceilings.append(ceiling(material, plan.seconds))
        with running(material.server(), material.log_file) as server:
            most = saturation(server, singles, plan.seconds)
            found.singles.append(most)
            for size in SIZES if number % 2 == 0 else reversed(SIZES):
                found.rates[size].append(rate_of_one_client(server, batches[size], plan.seconds))
                log.info("    %d texts a request: %.0f texts/s", size, found.rates[size][-1])
            measure_others(server, found, (singles, batches[max(SIZES)]), OTHERS * most, plan.seconds, number)
    return Section(
        title="Requests with many texts",
        method=METHOD,
        tables=[rate_table(found), others_table(found)],
        targets=[target(found)],
    )


def ceiling(material: Material, seconds: float) -> float:
    """Return the texts per second of the best arrangement."""
    ways = [way for way in arrangements("int8", available_cores()) if way.budget]
    expected = material.expected(material.short.texts)
    rates = [Ceiling(material.bundles["int8"], way).measure(material.short, expected, seconds / 2) for way in ways]
    return max(rate.texts_per_s for rate in rates)


def rate_of_one_client(server: Running, batches: Sequence[Question], seconds: float) -> float:
    drive(server, closed_loop(batches, 1, WARM_UP_S))
    (answered,) = drive(server, closed_loop(batches, 1, seconds)).streams
    return texts_per_s(answered)


def measure_others(
    server: Running,
    found: Found,
    questions: tuple[Sequence[Question], Sequence[Question]],
    rate: float,
    seconds: float,
    number: int,
) -> None:
    singles, batches = questions
    arrivals = poisson(singles, rate, 2 * seconds, seed=number)
    for with_batches in (False, True) if number % 2 == 0 else (True, False):
        wait_until_idle(server.pid)
        beside = [closed_loop(batches, 1, 2 * seconds)] if with_batches else []
        answered, *rest = drive(server, open_loop(arrivals), *beside).streams
        for percent in PERCENTS:
            found.latency_ms[with_batches, percent].append(percentile_ms(answered, percent))
        found.beside += [texts_per_s(each) for each in rest]


def target(found: Found) -> Target:
    return Target(
        f"one client with {max(SIZES)} texts a request, share of the raw ceiling",
        f"at least {TARGET_SHARE}",
        median_of(found.shares, 2),
    )


def rate_table(found: Found) -> str:
    rows = [[f"1 connection, {size} texts a request", median_of(found.rates[size], 0)] for size in SIZES]
    rows.append(["32 connections, 1 text a request", median_of(found.singles, 0)])
    rows.append(["`session.run` without a server", median_of(found.ceilings, 0)])
    return table(["", "texts/s"], rows)


def others_table(found: Found) -> str:
    header = ["single requests of others", *(f"p{percent} ms" for percent in PERCENTS), "texts/s of the batch client"]
    rows = [
        [name, *(median_of(found.latency_ms[with_batches, percent]) for percent in PERCENTS), rate]
        for name, with_batches, rate in (
            ("without the batch client", False, ""),
            (f"with it, {max(SIZES)} texts a request", True, median_of(found.beside, 0)),
        )
    ]
    return table(header, rows)


if __name__ == "__main__":
    run_measurement(__doc__, measure)
