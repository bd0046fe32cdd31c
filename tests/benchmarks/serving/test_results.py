"""Which settings count, what was reached, and which arrangements of `session.run` are tried."""

from __future__ import annotations

import pytest

from benchmarks.serving.load import Answers, Load
from benchmarks.serving.raw import Arrangement, Rate, arrangements
from benchmarks.serving.results import Cell, Contender, Results
from benchmarks.serving.servers import Server
from benchmarks.serving.targets import Target, targets
from benchmarks.serving.texts import TextSet

SHORT = TextSet("short", ["a", "b"], [10, 30])
SINGLE, LOADED = Cell("short", 1), Cell("short", 32)


def test_raw_arrangements_use_every_core():
    for way in arrangements("int8", 4):
        assert way.callers * way.threads == 4 or not way.budget


def load(requests_per_s: float, counts: list[int], wrk_cpu_ms: float = 0.0) -> Load:
    return Load(requests_per_s, 1000 / requests_per_s, 20.0, 5.0, wrk_cpu_ms, 0.0, Answers(counts, sum(counts)))


def test_useful_tokens_are_those_of_the_texts_that_were_answered():
    assert load(100, [1, 3]).tokens_per_s(SHORT.tokens) == pytest.approx(100 * (10 + 3 * 30) / 4)


def server(name: str, precision: str, settings: str = "", ours: bool = False) -> Server:
    return Server(name, precision, "module", (settings,), ours, settings)


def test_each_column_has_the_settings_that_did_best_there():
    few, many = server("peer", "fp32", "few"), server("peer", "fp32", "many")
    contender = Contender([few, many])
    contender.trials[few] = {SINGLE: load(90, [1, 1]), LOADED: load(100, [1, 1])}
    contender.trials[many] = {SINGLE: load(50, [1, 1]), LOADED: load(200, [1, 1])}
    for cell in (SINGLE, LOADED):
        contender.choose(cell, cell)
    assert contender.chosen == {SINGLE: few, LOADED: many}


def measured(name: str, precision: str, single: float, loaded: float, ours: bool = False) -> Contender:
    contender = Contender([server(name, precision, ours=ours)])
    contender.chosen = dict.fromkeys((SINGLE, LOADED), contender.servers[0])
    contender.loads[SINGLE].append(load(single, [1, 1]))
    contender.loads[LOADED].append(load(loaded, [1, 1], wrk_cpu_ms=0.5))
    return contender


def test_targets_say_what_was_reached():
    contenders = [
        measured("ours, int8", "int8", 200, 400, ours=True),
        measured("ours, fp32", "fp32", 100, 200, ours=True),
        measured("peer, int8", "int8", 250, 100),
        measured("peer, fp32", "fp32", 50, 80),
    ]
    results = Results(contenders, [SHORT], cores=2)
    for budget, tokens_per_s, median_ms in ((0, 5_000.0, 4.0), (256, 10_000.0, 40.0)):
        results.ceilings.rates[Arrangement("int8", budget, 1, 1), "short"].append(
            Rate(tokens_per_s / 20, tokens_per_s, median_ms, 5.0)
        )
    found = {target.what: target for target in targets(results, SHORT)}

    def reached(start: str) -> Target:
        (target,) = (target for what, target in found.items() if what.startswith(start))
        return target

    assert reached("int8, 32 connections: times the best peer (peer, int8)").row()[1:] == ["5", "4.00"]
    assert reached("fp32, 32 connections: times the best peer (peer, fp32)").row()[1:] == ["2", "2.50"]
    assert reached("int8, 1 connection: times the best peer (peer, int8)").reached == pytest.approx(0.8)
    assert reached("int8, 1 connection: ms of p50").reached == pytest.approx(1)
    assert reached("int8: useful tokens/s").reached == pytest.approx(0.8)
    assert reached("int8: the same of the machine without the 10.0%").reached == pytest.approx(0.8 / 0.9)
    assert not any(what.startswith("fp32: useful") for what in found)  # its ceiling was not measured
