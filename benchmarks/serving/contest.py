"""The order of a run: short trials choose each peer's settings, then every round measures everything once."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from app.bundle import Bundle, Precision
from app.settings import available_cores
from benchmarks.machine import wait_until_idle
from benchmarks.serving.expected import Scores
from benchmarks.serving.load import Load, LoadGenerator
from benchmarks.serving.raw import Arrangement, Ceiling, arrangements, open_session
from benchmarks.serving.results import CONNECTIONS, SINGLE, Cell, Contender, Results
from benchmarks.serving.servers import Running, Server, running
from benchmarks.serving.texts import TextSet

WARM_UP_S = 2  # of load at the same number of connections, unmeasured: caches fill, the cost model settles
TRIAL_WARM_UP_S = 1
TRIAL_S = 2
RAW_TRIAL_S = 0.5
RAW_BATCHES = 2  # arrangements of batches that are measured in every round

Expected = Mapping[str, Mapping[Precision, Sequence[Scores]]]  # by the name of a text set
Unit = tuple[Precision, int]  # a precision and a number of threads: one session

log = logging.getLogger("benchmarks")


class Contest:
    """Never two servers at once. Raises `WrongAnswerError` for a wrong answer in a trial or a round."""

    def __init__(
        self,
        servers: Sequence[Server],
        bundles: Mapping[Precision, Bundle],
        sets: Sequence[TextSet],
        expected: Expected,
        folder: Path,
    ) -> None:
        self.bundles, self.sets, self.expected, self.folder = bundles, sets, expected, folder
        self.results = Results(contenders(servers), sets, available_cores())
        self.arrangements = [way for p in bundles for way in arrangements(p, available_cores())]

    def run(self, rounds: int, seconds: int, with_raw: bool) -> Results:
        """Try, then measure, each round in another order."""
        for contender in self.results.contenders:
            self.try_settings(contender)
        units = list(dict.fromkeys(unit_of(way) for way in self.arrangements)) if with_raw else []
        for unit in units:
            self.try_raw(unit)
        targets: list[Contender | Unit] = [*self.results.contenders, *units]
        for number in range(rounds):
            shift = number * len(targets) // rounds
            for target in targets[shift:] + targets[:shift]:
                if isinstance(target, Contender):
                    log.info("round %d of %d: %s", number + 1, rounds, target)
                    self.measure(target, seconds)
                else:
                    log.info("round %d of %d: session.run, %s, %d threads", number + 1, rounds, *target)
                    self.measure_raw(target, seconds)
        return self.results

    def try_settings(self, contender: Contender) -> None:
        """Choose settings for each cell. One connection is tried with the first set only: no batches form there."""
        first = self.sets[0].name
        like = {cell: Cell(first, SINGLE) if cell.connections == SINGLE else cell for cell in self.cells()}
        if len(contender.servers) == 1:
            contender.chosen = dict.fromkeys(like, contender.servers[0])
            return
        for server in contender.servers:
            log.info("trying %s", server)
            with running(server, self.folder / "server.log") as address:
                for cell in dict.fromkeys(like.values()):
                    load = self.load(server, address, cell, TRIAL_WARM_UP_S, TRIAL_S)
                    contender.trials[server][cell] = load
        for cell, tried in like.items():
            contender.choose(cell, tried)
        contender.check_agreement()

    def measure(self, contender: Contender, seconds: int) -> None:
        by_server: dict[Server, list[Cell]] = defaultdict(list)
        for cell, server in contender.chosen.items():
            by_server[server].append(cell)
        for server, cells in by_server.items():
            with running(server, self.folder / "server.log") as address:
                for cell in cells:
                    contender.loads[cell].append(self.load(server, address, cell, WARM_UP_S, seconds))
        contender.check_agreement()

    def load(self, server: Server, address: Running, cell: Cell, warm_up: int, seconds: int) -> Load:
        texts = next(text_set.texts for text_set in self.sets if text_set.name == cell.texts)
        precision: Precision = server.precision if server.is_ours else "fp32"  # peers are held to the checkpoint
        expected = self.expected[cell.texts][precision]
        generator = LoadGenerator(texts, expected, self.folder, exact=not server.depends_on_batch)
        generator.ask(address, cell.connections, warm_up)
        wait_until_idle(address.pid)
        load = generator.measure(address, cell.connections, seconds)
        wait_until_idle(address.pid)
        return load

    def try_raw(self, unit: Unit) -> None:
        log.info("trying session.run, %s, %d threads", *unit)
        for ceiling in self.ceilings(unit, [way for way in self.arrangements if unit_of(way) == unit]):
            for text_set in self.sets:
                expected = self.expected[text_set.name][unit[0]]
                rate = ceiling.measure(text_set, expected, RAW_TRIAL_S)
                self.results.ceilings.trials[ceiling.arrangement, text_set.name] = rate

    def measure_raw(self, unit: Unit, seconds: float) -> None:
        """Measure the arrangements that did best in the trials, of this session."""
        found = self.results.ceilings
        best = {s.name: found.best(unit[0], s.name, RAW_BATCHES) for s in self.sets}
        mine = [way for way in self.arrangements if unit_of(way) == unit]
        for ceiling in self.ceilings(unit, [way for way in mine if any(way in ways for ways in best.values())]):
            for text_set in self.sets:
                if ceiling.arrangement in best[text_set.name]:
                    rate = ceiling.measure(text_set, self.expected[text_set.name][unit[0]], seconds)
                    found.rates[ceiling.arrangement, text_set.name].append(rate)

    def ceilings(self, unit: Unit, ways: Sequence[Arrangement]) -> Iterator[Ceiling]:
        """Open one session for all of `ways`."""
        if ways:
            bundle = self.bundles[unit[0]]
            session = open_session(bundle, ways[0])
            yield from (Ceiling(bundle, way, session) for way in ways)

    def cells(self) -> list[Cell]:
        return [Cell(text_set.name, connections) for text_set in self.sets for connections in CONNECTIONS]


def contenders(servers: Sequence[Server]) -> list[Contender]:
    """Gather servers of one name, in their order."""
    by_name: dict[str, list[Server]] = defaultdict(list)
    for server in servers:
        by_name[server.name].append(server)
    return [Contender(found) for found in by_name.values()]


def unit_of(arrangement: Arrangement) -> Unit:
    return arrangement.precision, arrangement.threads
