"""What a run found out: for each contender the settings that did best, and what was measured with them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from app.bundle import Precision
from benchmarks.serving.expected import check_agreement
from benchmarks.serving.load import Load
from benchmarks.serving.raw import Arrangement, Rate
from benchmarks.serving.servers import Server
from benchmarks.serving.texts import TextSet

SINGLE, LOADED = CONNECTIONS = (1, 32)


class Cell(NamedTuple):
    """A column of the results: which texts, from how many connections."""

    texts: str
    connections: int


@dataclass(slots=True)
class Contender:
    """One program in one precision, with every choice of settings that is tried."""

    servers: list[Server]
    chosen: dict[Cell, Server] = field(default_factory=dict)
    trials: dict[Server, dict[Cell, Load]] = field(default_factory=lambda: defaultdict(dict))
    loads: dict[Cell, list[Load]] = field(default_factory=lambda: defaultdict(list))

    @property
    def name(self) -> str:
        return self.servers[0].name

    @property
    def precision(self) -> Precision:
        return self.servers[0].precision

    @property
    def is_ours(self) -> bool:
        return self.servers[0].is_ours

    def __str__(self) -> str:
        return self.name

    def choose(self, cell: Cell, like: Cell) -> None:
        """Take for `cell` the settings that answered most requests per second in the trials of `like`."""
        self.chosen[cell] = max(self.servers, key=lambda server: self.trials[server][like].requests_per_s)

    def median(self, cell: Cell, value: str) -> float:
        return float(statistics.median(getattr(load, value) for load in self.loads[cell]))

    def agreement(self) -> tuple[int, int]:
        """Return how many answers had the label that was expected, and how many there were, trials included."""
        tried = [load for by_cell in self.trials.values() for load in by_cell.values()]
        answers = [load.answers for load in (*tried, *(load for loads in self.loads.values() for load in loads))]
        return sum(each.agreed for each in answers), sum(each.total for each in answers)

    def check_agreement(self) -> None:
        """Raises `WrongAnswerError`; for those whose every score cannot be held against one."""
        if self.servers[0].depends_on_batch:
            check_agreement(self.name, *self.agreement())


@dataclass(slots=True)
class Ceilings:
    """`session.run` without a server: trials of every arrangement, and rounds of those that did best."""

    trials: dict[tuple[Arrangement, str], Rate] = field(default_factory=dict)
    rates: dict[tuple[Arrangement, str], list[Rate]] = field(default_factory=lambda: defaultdict(list))

    def best(self, precision: Precision, texts: str, batches: int) -> list[Arrangement]:
        """Return the arrangements of one text at a time, and so many of batches that did best in the trials."""
        mine = [way for way, name in self.trials if (way.precision, name) == (precision, texts)]
        ranked = sorted((way for way in mine if way.budget), key=lambda way: -self.trials[way, texts].tokens_per_s)
        return [*(way for way in mine if not way.budget), *ranked[:batches]]

    def measured(self, texts: str) -> dict[Arrangement, list[Rate]]:
        return {way: rates for (way, name), rates in self.rates.items() if name == texts}

    def tokens_per_s(self, precision: Precision, texts: str) -> float:
        """Return the most tokens per second of all arrangements."""
        return max(median(r, "tokens_per_s") for w, r in self.measured(texts).items() if w.precision == precision)

    def single_ms(self, precision: Precision, texts: str) -> float:
        """Return the milliseconds of the fastest single `session.run` of one text."""
        mine = [r for w, r in self.measured(texts).items() if w.precision == precision and not w.budget]
        return min(median(rates, "median_ms") for rates in mine)


@dataclass(slots=True)
class Results:
    """Everything that a run measured."""

    contenders: list[Contender]
    sets: Sequence[TextSet]
    cores: int
    ceilings: Ceilings = field(default_factory=Ceilings)

    def ours(self, texts: str) -> list[Contender]:
        return [contender for contender in self.measured(texts) if contender.is_ours]

    def peers(self, texts: str, precision: Precision | None = None) -> list[Contender]:
        """Return the peers, of one precision or of any."""
        peers = [contender for contender in self.measured(texts) if not contender.is_ours]
        return [peer for peer in peers if precision in (None, peer.precision)]

    def measured(self, texts: str) -> list[Contender]:
        return [contender for contender in self.contenders if contender.loads.get(Cell(texts, LOADED))]

    def as_json(self) -> dict[str, Any]:
        """Return every measurement, as plain lists and dictionaries."""
        tokens = {text_set.name: text_set.tokens for text_set in self.sets}
        return {
            "cores": self.cores,
            "sets": [{"name": s.name, "texts": len(s.texts), "tokens": s.tokens} for s in self.sets],
            "servers": [contender_as_json(contender, tokens) for contender in self.contenders],
            "raw": [
                {**asdict(way), "texts_set": name, "rates": [rate._asdict() for rate in rates]}
                for (way, name), rates in self.ceilings.rates.items()
            ],
            "raw_trials": [
                {**asdict(way), "texts_set": name, **rate._asdict()}
                for (way, name), rate in self.ceilings.trials.items()
            ],
        }


def contender_as_json(contender: Contender, tokens: dict[str, list[int]]) -> dict[str, Any]:
    agreed, total = contender.agreement()
    return {
        "name": contender.name,
        "precision": contender.precision,
        "is_ours": contender.is_ours,
        "answers": total,
        "answers_with_the_checkpoints_label": agreed,
        "measured": [
            {
                **cell._asdict(),
                "settings": contender.chosen[cell].settings,
                "rounds": loads_as_json(loads, cell, tokens),
            }
            for cell, loads in contender.loads.items()
        ],
        "trials": [
            {**cell._asdict(), "settings": server.settings, **loads_as_json([load], cell, tokens)[0]}
            for server, by_cell in contender.trials.items()
            for cell, load in by_cell.items()
        ],
    }


def loads_as_json(loads: Iterable[Load], cell: Cell, tokens: dict[str, list[int]]) -> list[dict[str, float]]:
    figures = ("requests_per_s", "p50_ms", "p99_ms", "server_cpu_ms", "wrk_cpu_ms", "others")
    return [
        {**{name: getattr(load, name) for name in figures}, "tokens_per_s": load.tokens_per_s(tokens[cell.texts])}
        for load in loads
    ]


def median(measured: Iterable[Any], value: str) -> float:
    return float(statistics.median(getattr(one, value) for one in measured))
