"""The parts of `benchmarks.http` that decide: which answers are right, which settings count, what was reached."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.expected import WrongAnswerError, check_agreement
from benchmarks.load import Answers, Load, LoadGenerator
from benchmarks.machine import process_cpu_s, processes
from benchmarks.peers.candidates import INFINITY, PEERS, peer_servers, ways
from benchmarks.peers.environments import requirements_of, version_of
from benchmarks.raw import Arrangement, Rate, arrangements
from benchmarks.results import Cell, Contender, Results
from benchmarks.servers import HUGGING_FACE, Server, end_session
from benchmarks.targets import Target, targets
from benchmarks.texts import TextSet

EXPECTED = [{"negative": 0.9, "positive": 0.1}, {"negative": 0.2, "positive": 0.8}]
SHORT = TextSet("short", ["a", "b"], [10, 30])
ALONE, LOADED = Cell("short", 1), Cell("short", 32)


def ranked(scores: dict[str, float]) -> list[list[dict[str, object]]]:
    return [[{"label": label, "score": score} for label, score in scores.items()]]


def check(tmp_path, lines: list[tuple[int, int, object]], exact: bool = True) -> Answers:
    generator = LoadGenerator(SHORT.texts, EXPECTED, tmp_path, exact)
    generator.answers.write_text("".join(f"{number}\t{status}\t{json.dumps(a)}\n" for number, status, a in lines))
    return generator.check(HUGGING_FACE)


def test_answers_are_counted_by_text(tmp_path):
    lines = [(0, 200, ranked(EXPECTED[0])), (1, 200, ranked(EXPECTED[1])), (1, 200, ranked(EXPECTED[1]))]
    assert check(tmp_path, lines) == Answers([1, 2], agreed=3)


@pytest.mark.parametrize(
    "line",
    [
        (0, 200, ranked(EXPECTED[1])),
        (0, 200, ranked({"negative": 0.898, "positive": 0.102})),
        (0, 200, ranked({"negative": 0.9})),
        (0, 503, {"error": "not yet"}),
    ],
    ids=["another text's", "scores", "labels", "status"],
)
def test_a_wrong_answer_ends_the_run(tmp_path, line):
    with pytest.raises(WrongAnswerError):
        check(tmp_path, [line])


def test_where_batches_move_scores_labels_are_counted(tmp_path):
    lines = [(0, 200, ranked({"negative": 0.7, "positive": 0.3})), (1, 200, ranked({"negative": 0.6, "positive": 0.4}))]
    assert check(tmp_path, lines, exact=False) == Answers([1, 1], agreed=1)


def test_what_is_no_distribution_is_wrong_for_everyone(tmp_path):
    with pytest.raises(WrongAnswerError):
        check(tmp_path, [(0, 200, ranked({"negative": 0.7, "positive": 0.7}))], exact=False)


def test_too_many_other_labels_end_the_run():
    check_agreement("peer", 97, 100)
    with pytest.raises(WrongAnswerError, match=r"96\.0%"):
        check_agreement("peer", 96, 100)


def test_infinity_is_understood():
    assert INFINITY.body("a") == {"model": "m", "input": ["a"]}
    assert INFINITY.scores({"object": "classify", "data": ranked(EXPECTED[0])}) == EXPECTED[0]


@pytest.mark.parametrize("peer", PEERS)
def test_every_version_of_a_peer_is_pinned(peer):
    assert all("==" in line for line in requirements_of(peer).read_text().splitlines())
    with pytest.raises(KeyError):
        version_of(peer, "nothing")


def test_every_peer_has_settings_to_choose_from(tmp_path):
    servers = peer_servers(2, tmp_path, tmp_path)
    names = {server.name for server in servers}
    assert len(names) == 5
    assert all(len({str(s) for s in servers if s.name == name}) > 3 for name in names)
    assert {server.depends_on_batch for server in servers if server.precision == "int8"} == {True}
    assert len(ways(1)) == 3  # one worker is what a worker for each core is
    assert len(ways(4)) == 6


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
    contender.trials[few] = {ALONE: load(90, [1, 1]), LOADED: load(100, [1, 1])}
    contender.trials[many] = {ALONE: load(50, [1, 1]), LOADED: load(200, [1, 1])}
    for cell in (ALONE, LOADED):
        contender.choose(cell, cell)
    assert contender.chosen == {ALONE: few, LOADED: many}


def measured(name: str, precision: str, alone: float, loaded: float, ours: bool = False) -> Contender:
    contender = Contender([server(name, precision, ours=ours)])
    contender.chosen = dict.fromkeys((ALONE, LOADED), contender.servers[0])
    contender.loads[ALONE].append(load(alone, [1, 1]))
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


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "x = sum(range(10**7)); print(flush=True); input()"])
input()
"""


def test_children_count_and_are_not_left_behind():
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    process.stdout.readline()  # the child has computed
    mine = {found.pid: found for found in processes() if found.session == process.pid}
    assert len(mine) == 2
    assert process_cpu_s(process.pid) >= sum(found.cpu_s for found in mine.values())
    process.kill()
    process.wait()
    assert end_session(process.pid, patience_s=0) == 1
    process.stdin.close()
    process.stdout.close()  # after the last writer has gone
