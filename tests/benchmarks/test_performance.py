"""The parts of `benchmarks.performance` that decide: which answers are right, and what the page says."""

from __future__ import annotations

import json

import pytest

from benchmarks import comparison, startup
from benchmarks.client import Answered, Question, Reply
from benchmarks.expected import WrongAnswerError
from benchmarks.long_text import meets
from benchmarks.material import Section, Target, check_classified, median_of
from benchmarks.performance import write
from benchmarks.plots import Line, Panel, draw
from benchmarks.tasks import check_candidates, check_entities, masked


def candidates(**scores: float) -> list[dict[str, object]]:
    return [{"token": token, "score": score} for token, score in scores.items()]


@pytest.mark.parametrize(
    "answered",
    [candidates(a=0.5, b=0.2002, c=0.1), candidates(a=0.5, b=0.2, d=0.1004)],
    ids=["scores", "a tie for the last place"],
)
def test_the_same_candidates_are_right(answered):
    check_candidates(candidates(a=0.5, b=0.2, c=0.1), answered)


@pytest.mark.parametrize(
    "answered",
    [candidates(a=0.5, d=0.2, c=0.1), candidates(a=0.49, b=0.2, c=0.1)],
    ids=["another token", "another score"],
)
def test_other_candidates_are_wrong(answered):
    with pytest.raises(WrongAnswerError):
        check_candidates(candidates(a=0.5, b=0.2, c=0.1), answered)


ENTITY = {"entity_group": "PER", "start": 0, "end": 4, "score": 0.9, "word": "Anna"}


def test_the_same_entities_are_right():
    check_entities([ENTITY], [ENTITY | {"score": 0.9005, "word": " Anna"}])


@pytest.mark.parametrize(
    "answered",
    [[], [ENTITY, ENTITY], [ENTITY | {"entity_group": "LOC"}], [ENTITY | {"end": 5}], [ENTITY | {"score": 0.8}]],
    ids=["missing", "one more", "another type", "another place", "another score"],
)
def test_other_entities_are_wrong(answered):
    with pytest.raises(WrongAnswerError):
        check_entities([ENTITY], answered)


def test_every_text_of_a_request_is_checked():
    ranked = [{"label": "yes", "score": 0.7}, {"label": "no", "score": 0.3}]
    check_classified([{"yes": 0.7, "no": 0.3}] * 2, [ranked, ranked])
    with pytest.raises(WrongAnswerError):
        check_classified([{"yes": 0.7, "no": 0.3}, {"yes": 0.1, "no": 0.9}], [ranked, ranked])


@pytest.mark.parametrize(("due", "meeting"), [(0.0, False), (1.0, True), (2.5, True), (3.0, False)], ids=str)
def test_requests_meet_that_are_in_flight_together(due, meeting):
    def request(due: float, done: float) -> Answered:
        return Answered(Question.of("/", "", lambda _: None), due, due, done, Reply(b"", b""))

    assert meets(request(due, due + 1.0), [request(1.5, 3.0)]) is meeting


def test_one_word_is_masked():
    assert masked("one two three") == "one <mask> three"


def test_a_median_shows_its_range():
    assert median_of([1.0, 3.0, 2.0]) == "2.0 (1.0-3.0)"


def test_the_page_shows_targets_tables_and_figures(tmp_path):
    figure = draw([Panel("Cores", "cores", "texts/s", [Line("texts/s", [1, 2], [[10.0], [19.0]])])])
    section = Section("Growth", "How.", ["| a table |"], [Target("speed", "2", "3")], {"growth": figure})
    page = tmp_path / "performance.md"
    write(page, [section], "# Performance")
    text = page.read_text()
    assert text.startswith("# Performance\n\n| measured | target | reached |")
    assert "| speed | 2 | 3 |" in text
    assert "![growth](performance/growth.svg)" in text
    assert "texts/s" in (tmp_path / "performance" / "growth.svg").read_text()


def test_the_comparison_has_a_row_for_each_server(tmp_path):
    rounds = [{"requests_per_s": 100.0, "p50_ms": 9.0, "p99_ms": 20.0}] * 2
    measured = [{"texts": "short", "connections": 32, "rounds": rounds, "settings": "2 threads"}]
    rates = [{"texts_per_s": 900.0, "tokens_per_s": 24_000.0}]
    raw = {"precision": "int8", "budget": 256, "callers": 2, "threads": 1, "texts_set": "short", "rates": rates}
    reached = {"texts": "short", "what": "int8: speed", "wanted": 5.0, "reached": 1.5}
    file = tmp_path / "http.json"
    file.write_text(
        json.dumps(
            {
                "machine": "A machine.",
                "rounds": 2,
                "seconds": 4,
                "sets": [{"name": "short", "texts": 2, "tokens": [17, 40]}],
                "servers": [{"name": "ours", "measured": measured}, {"name": "left out", "measured": []}],
                "raw": [raw],
                "targets": [reached, {**reached, "wanted": None}],
            }
        )
    )
    section = comparison.read(file)
    text = section.render("figures")
    assert [(t.what, t.wanted, t.reached) for t in section.targets] == [
        ("short texts, int8: speed", "at least 5", "1.50")
    ]
    assert "- ours: 2 threads at 32" in text
    assert "| int8, packed, sorted, 256 tokens a batch, 2 x 1 threads | 900 | 24,000 |" in text
    assert "A machine. Medians of 2 rounds of 4 s" in text
    assert "short: 2 texts, 17 to 40 tokens" in text
    assert "| ours | 100 (100-100) | 9.0 (9.0-9.0) | 20.0 (20.0-20.0) |" in text
    assert "left out" not in text


def test_a_start_is_taken_apart(tiny_models):
    """In a process of its own, by names that loading must go on using."""
    seconds = startup.taken_apart(tiny_models)
    assert seconds.keys() >= {"import", "loading", "hashing", "graph", "tokenizer", "first run", "probes", "warm-up"}
    assert all(value > 0 for value in seconds.values())
