"""One replica that becomes two while more is asked than it can answer, and one again afterwards."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from typing import Any

from benchmarks.cluster.asking import Clients, wait
from benchmarks.cluster.nodes import Nodes

LONG = "A warm and funny film. " * 120  # so that a few clients make a queue, and the proxy has little to do
SELDOM_S = 0.2  # between the requests of the client that asks all the while
WITH_TWO_S = 5.0
LEAST_S = 300.0  # for a replica to start, and to end, on a machine that is busy with something else


class Watch:
    """Notes when the number of running replicas changes, and what is asked meanwhile."""

    def __init__(self, running: Nodes) -> None:
        self._running, self._began = running, time.monotonic()
        self._last = 0
        self.rows: list[dict[str, Any]] = []

    def note(self, event: str) -> None:
        self.rows.append({"at_s": round(time.monotonic() - self._began, 1), "event": event})

    def replicas(self) -> int:
        if (count := self._running.running()) != self._last:
            self.note(f"{count} replicas run" if count != 1 else "1 replica runs")
            self._last = count
        return count


def grow(running: Nodes, flags: Namespace) -> list[dict[str, Any]]:
    """Return what happened when, and in the end how many requests were answered and lost."""
    running.deploy_scaled(flags.models)
    watch = Watch(running)
    wait(lambda: watch.replicas() == 1, LEAST_S)
    always = Clients(running.url, flags.route, flags.text, 1, SELDOM_S)
    many = Clients(running.url, flags.route, LONG, flags.clients)
    with always.asking():
        watch.note(f"{flags.clients} clients begin")
        with many.asking():
            wait(lambda: watch.replicas() == 2, LEAST_S)
            until = time.monotonic() + WITH_TWO_S
            wait(lambda: watch.replicas() > 2 or time.monotonic() > until, LEAST_S)
        watch.note("they end")
        wait(lambda: watch.replicas() == 1, LEAST_S)
        before = always.answered
        wait(lambda: always.answered > before + 5)
    outcomes = Counter(always.outcomes) + Counter(many.outcomes)
    lost = {outcome: count for outcome, count in outcomes.items() if outcome != "200"}
    slowest_s = round(max(always.slowest_s, many.slowest_s), 2)
    return [*watch.rows, {"answered": outcomes["200"], "lost": lost, "slowest_s": slowest_s}]
