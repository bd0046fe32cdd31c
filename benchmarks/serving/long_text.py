"""What a long text does to short ones, and what a stream of short texts does to a long one.

python -m benchmarks.serving.long_text --checkpoint runs/sentiment/checkpoint --data DIR
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from app.settings import Settings
from benchmarks.machine import wait_until_idle
from benchmarks.serving.client import Answered, Question
from benchmarks.serving.material import Material, Plan, Section, Target, log, median_of, run_measurement, saturation
from benchmarks.serving.openloop import closed_loop, drive, every, open_loop, percentile_ms, poisson
from benchmarks.serving.plots import Line, Panel, draw
from benchmarks.serving.servers import Running, running
from benchmarks.tables import table

LONG_TOKENS, LONG_TEXTS = 512, 8
LONG_EVERY_S = 0.5
MODERATE = 0.5  # of saturation
STARVING = 64  # connections in a closed loop: a queue of several batches that never empties
PRIORITIES = (0, 5)  # X-Priority of the short texts; that of the long ones is 0
PERCENTS = (50, 90, 99, 100)

METHOD = (
    f"Short texts arrive at {MODERATE:.0%} of saturation as a Poisson process, once by themselves and once with "
    f"a text of {LONG_TOKENS} tokens every {LONG_EVERY_S:g} s, the same arrivals both times. *Meanwhile* are those "
    "that were due or not yet answered while a long text was in flight; *later* is how much later each of these was "
    "answered than in the run without long texts. One forward pass is the median `forward` of the long texts among "
    "the short ones, on one core; by itself a long text has every core. "
    f"Starvation: {STARVING} connections ask short texts in a closed loop, with the priority of the long ones and "
    "with a higher one, while the long ones go on arriving."
)


@dataclass
class Found:
    """All rounds together; times in ms."""

    forward: list[float] = field(default_factory=list)  # of a long text by itself, one for each round
    loaded_forward: list[float] = field(default_factory=list)  # the same among the short ones
    without: list[list[float]] = field(default_factory=list)  # latencies of short texts, a list for each round
    meanwhile: list[list[float]] = field(default_factory=list)
    later: list[list[float]] = field(default_factory=list)
    waits: dict[int, list[float]] = field(default_factory=lambda: {priority: [] for priority in PRIORITIES})
    queued: dict[int, list[float]] = field(default_factory=lambda: {priority: [] for priority in PRIORITIES})

    def passes(self, percent: float) -> list[float]:
        """How much later, in forward passes of the long text, one figure for each round."""
        rounds = zip(self.later, self.loaded_forward, strict=True)
        return [float(np.percentile(later, percent)) / forward for later, forward in rounds]


def measure(material: Material, plan: Plan) -> Section:
    found = Found()
    short = material.questions(material.short.texts)
    long = material.questions(material.texts_of(LONG_TOKENS, LONG_TEXTS))
    first = {priority: material.questions(material.short.texts, priority=priority) for priority in PRIORITIES}
    for number in plan.each_round():
        with running(material.server(), material.log_file) as server:
            rate = MODERATE * saturation(server, short, plan.seconds)
            measure_interference(server, found, (short, long), rate, 2 * plan.seconds, number)
            for priority in PRIORITIES if number % 2 == 0 else reversed(PRIORITIES):
                measure_starvation(server, found, (first[priority], long), priority, 2 * plan.seconds)
    return Section(
        title="A long text among short ones",
        method=METHOD,
        tables=[interference_table(found), starvation_table(found)],
        targets=targets(found),
        figures={"long_text": draw([distribution(found)])},
    )


def measure_interference(
    server: Running,
    found: Found,
    questions: tuple[Sequence[Question], Sequence[Question]],
    rate: float,
    seconds: float,
    number: int,
) -> None:
    short, long = questions
    (by_itself,) = drive(server, closed_loop(long, 1, seconds / 4)).streams
    found.forward.append(statistics.median(one.reply.timing_ms("forward") for one in by_itself))
    arrivals, longs = poisson(short, rate, seconds, seed=number), every(long, LONG_EVERY_S, seconds)
    runs = {}
    for with_long in (False, True) if number % 2 == 0 else (True, False):
        wait_until_idle(server.pid)
        streams = [open_loop(arrivals), *([open_loop(longs)] if with_long else [])]
        runs[with_long] = drive(server, *streams).streams
    (before,), (after, in_flight) = runs[False], runs[True]
    found.loaded_forward.append(statistics.median(one.reply.timing_ms("forward") for one in in_flight))
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if meets(b, in_flight)]
    found.without.append([one.latency_ms for one in before])
    found.meanwhile.append([b.latency_ms for _, b in pairs])
    found.later.append([b.latency_ms - a.latency_ms for a, b in pairs])
    log.info("    p99 before %.0f ms; later by %s passes", percentile_ms(before, 99), f"{found.passes(99)[-1]:.2f}")


def meets(one: Answered, others: Sequence[Answered]) -> bool:
    """Whether `one` was in flight while another was."""
    return any(one.due < other.done and other.due < one.done for other in others)


def measure_starvation(
    server: Running,
    found: Found,
    questions: tuple[Sequence[Question], Sequence[Question]],
    priority: int,
    seconds: float,
) -> None:
    short, long = questions
    longs = open_loop(every(long, LONG_EVERY_S, seconds))
    _, answered = drive(server, closed_loop(short, STARVING, seconds), longs).streams
    wait_until_idle(server.pid)
    found.waits[priority].append(max(one.latency_ms - one.reply.timing_ms("forward") for one in answered))
    found.queued[priority].append(max(one.reply.timing_ms("queue") for one in answered))
    log.info("    a long text waited %.0f ms at most", found.waits[priority][-1])


def interference_table(found: Found) -> str:
    header = ["short texts, ms", *("greatest" if percent == 100 else f"p{percent}" for percent in PERCENTS)]
    named = {"without long texts": found.without, "meanwhile": found.meanwhile, "later": found.later}
    rows = [
        [name, *(median_of([float(np.percentile(each, percent)) for each in rounds]) for percent in PERCENTS)]
        for name, rounds in named.items()
    ]
    rows.append(["later, in forward passes", *(median_of(found.passes(percent), 2) for percent in PERCENTS)])
    by_itself, loaded = median_of(found.forward), median_of(found.loaded_forward)
    about = f"One forward pass of {LONG_TOKENS} tokens: {by_itself} ms by itself, {loaded} ms among the short ones."
    return f"{about}\n\n{table(header, rows)}"


def starvation_table(found: Found) -> str:
    header = [
        "X-Priority of the short texts",
        "longest wait of a long text, ms",
        "its longest queue by Server-Timing, ms",
    ]
    rows = [[str(p), median_of(found.waits[p], 0), median_of(found.queued[p], 0)] for p in PRIORITIES]
    return table(header, rows)


def targets(found: Found) -> list[Target]:
    age_ms = Settings.model_fields["max_queue_age_ms"].default
    longest = max(max(waits) for waits in found.waits.values())
    return [
        Target(
            f"how much later a short text is answered while one of {LONG_TOKENS} tokens is in flight, p99",
            "at most 1 forward pass of it",
            f"{median_of(found.passes(99), 2)} forward passes",
        ),
        Target(
            "longest wait of a long text in a saturating stream of short ones",
            f"max_queue_age_ms, {age_ms:g} ms, and the batches in hand",
            f"{longest:,.0f} ms",
        ),
    ]


def distribution(found: Found) -> Panel:
    percents = list(range(0, 101, 2))
    lines = [
        Line(name, percents, [[float(np.percentile(each, percent)) for each in rounds] for percent in percents])
        for name, rounds in (("without long texts", found.without), ("meanwhile", found.meanwhile))
    ]
    return Panel("Short texts", "percentile", "latency (ms)", lines)


if __name__ == "__main__":
    run_measurement(__doc__, measure)
