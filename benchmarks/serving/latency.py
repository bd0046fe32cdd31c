"""Latency under open-loop load, as a share of what saturates the service.

python -m benchmarks.serving.latency --checkpoint runs/sentiment/checkpoint --data DIR
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.machine import wait_until_idle
from benchmarks.serving.client import Answered
from benchmarks.serving.material import Material, Plan, Section, Target, log, median_of, run_measurement, saturation
from benchmarks.serving.openloop import Measured, closed_loop, drive, lateness_ms, open_loop, percentile_ms, poisson
from benchmarks.serving.plots import Line, Panel, draw
from benchmarks.serving.servers import running
from benchmarks.serving.texts import TextSet
from benchmarks.tables import table

LOADS = (0.3, 0.5, 0.7, 0.9)
ONE_AT_A_TIME = 0.0  # instead of a load: one request at a time, the least that the texts take
TARGET_LOAD, TARGET_RATIO = 0.7, 3.0
PERCENTS = (50, 90, 99)

METHOD = (
    "A closed loop of 32 connections finds the most that the service answers; then requests arrive at a share of that "
    "as a Poisson process, and each one's latency counts from the moment it was due. Each round starts a new server "
    "and takes the shares in another order. *One at a time* is a closed loop of one connection: how far apart the "
    "texts are by themselves."
)


@dataclass(frozen=True, slots=True)
class Point:
    """One open-loop measurement."""

    requests_per_s: float
    latency_ms: dict[int, float]  # by percentile
    queue_p99_ms: float  # by the service's own account
    late_p50_ms: float
    late_p99_ms: float
    client_cpu_ms: float
    others: float

    @classmethod
    def of(cls, measured: Measured) -> Point:
        (answered,) = measured.streams
        return cls(
            requests_per_s=len(answered) / max(one.due for one in answered),
            latency_ms={percent: percentile_ms(answered, percent) for percent in PERCENTS},
            queue_p99_ms=queue_ms(answered, 99),
            late_p50_ms=lateness_ms(answered, 50),
            late_p99_ms=lateness_ms(answered, 99),
            client_cpu_ms=measured.client_cpu_ms,
            others=measured.others,
        )

    @property
    def ratio(self) -> float:
        return self.latency_ms[99] / self.latency_ms[50]


def queue_ms(answered: Sequence[Answered], percent: float) -> float:
    return float(np.percentile([one.reply.timing_ms("queue") for one in answered], percent))


@dataclass
class Curve:
    """All that was measured with one set of texts."""

    text_set: TextSet
    saturated: list[float]
    points: dict[float, list[Point]]


def measure(material: Material, plan: Plan) -> Section:
    curves = [Curve(text_set, [], defaultdict(list)) for text_set in (material.short, material.mixed)]
    for number in plan.each_round():
        for curve in curves if number % 2 == 0 else reversed(curves):
            measure_curve(material, curve, plan.seconds, number)
    return Section(
        title="Latency under load",
        method=METHOD,
        tables=[part for curve in curves for part in (render(curve), costs(curve))],
        targets=[target(curve) for curve in curves],
        figures={"latency": draw([panel(curve) for curve in curves])},
    )


def measure_curve(material: Material, curve: Curve, seconds: float, number: int) -> None:
    questions = material.questions(curve.text_set.texts)
    with running(material.server(), material.log_file) as server:
        most = saturation(server, questions, seconds)
        curve.saturated.append(most)
        curve.points[ONE_AT_A_TIME].append(Point.of(drive(server, closed_loop(questions, 1, seconds))))
        for load in rotated(LOADS, number):
            arrivals = poisson(questions, load * most, 2 * seconds, seed=number)
            point = Point.of(drive(server, open_loop(arrivals)))
            curve.points[load].append(point)
            log.info("    %s at %.0f%%: p99 %.1f ms", curve.text_set.name, 100 * load, point.latency_ms[99])
            wait_until_idle(server.pid)


def rotated(values: Sequence[float], number: int) -> list[float]:
    shift = number % len(values)
    return [*values[shift:], *values[:shift]]


def target(curve: Curve) -> Target:
    return Target(
        f"p99 over p50 at {TARGET_LOAD:.0%} of saturation, {curve.text_set.name} texts",
        f"at most {TARGET_RATIO:g}",
        median_of([point.ratio for point in curve.points[TARGET_LOAD]]),
    )


def render(curve: Curve) -> str:
    header = ["load", "requests/s", "p50 ms", "p90 ms", "p99 ms", "p99 / p50", "p99 ms in the queue"]
    rows = []
    for load in (ONE_AT_A_TIME, *LOADS):
        points = curve.points[load]
        latencies = [median_of([point.latency_ms[percent] for point in points]) for percent in PERCENTS]
        rows.append(
            [
                f"{load:.0%}" if load else "one at a time",
                median_of([point.requests_per_s for point in points], 0),
                *latencies,
                median_of([point.ratio for point in points]),
                median_of([point.queue_p99_ms for point in points]),
            ]
        )
    saturated = median_of(curve.saturated, 0)
    return f"**{curve.text_set}**; saturated at {saturated} requests/s.\n\n{table(header, rows)}"


def costs(curve: Curve) -> str:
    points = [point for load in LOADS for point in curve.points[load]]
    return (
        f"The client took {statistics.median(p.client_cpu_ms for p in points):.2f} ms of CPU a request on the same "
        f"cores, and sent {statistics.median(p.late_p50_ms for p in points):.1f} ms after a request was due (p50; p99 "
        f"{statistics.median(p.late_p99_ms for p in points):.1f} ms), which is part of the latencies. Other processes "
        f"had at most {max(p.others for p in points):.0%} of the machine in any one measurement."
    )


def panel(curve: Curve) -> Panel:
    loads = [100 * load for load in LOADS]
    lines = [
        Line(f"p{percent}", loads, [[p.latency_ms[percent] for p in curve.points[load]] for load in LOADS])
        for percent in PERCENTS
    ]
    return Panel(f"{curve.text_set.name} texts", "load (% of saturation)", "latency (ms)", lines, log_y=True)


if __name__ == "__main__":
    run_measurement(__doc__, measure)
