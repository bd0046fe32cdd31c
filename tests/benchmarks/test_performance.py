"""The parts of `benchmarks.performance` that decide: which answers are right, and what the page says."""

from __future__ import annotations

import pytest

from benchmarks.performance import BEGIN, END, write
from benchmarks.serving.client import Answered, Question, Reply
from benchmarks.serving.expected import WrongAnswerError
from benchmarks.serving.long_text import meets
from benchmarks.serving.material import Section, Target, check_classified, median_of
from benchmarks.serving.plots import Line, Panel, draw


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


def test_a_median_shows_its_range():
    assert median_of([1.0, 3.0, 2.0]) == "2.0 (1.0-3.0)"


def test_the_page_shows_results_tables_and_figures(tmp_path):
    figure = draw([Panel("Cores", "cores", "texts/s", [Line("texts/s", [1, 2], [[10.0], [19.0]])])])
    section = Section("Growth", "How.", ["| a table |"], [Target("speed", "2", "3")], {"growth": figure})
    page = tmp_path / "performance.md"
    write(page, [section], "On a machine.")
    text = page.read_text()
    assert "On a machine.\n\n| measured | result |" in text
    assert "| speed | 3 |" in text
    assert "![growth](performance/growth.svg)" in text
    assert "texts/s" in (tmp_path / "performance" / "growth.svg").read_text()


def test_what_people_wrote_around_the_measured_part_stays(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"# Speed\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\n## Why\n")
    write(page, [], "new")
    write(page, [], "newer")
    assert page.read_text() == f"# Speed\n\nBefore.\n\n{BEGIN}\n\nnewer\n\n{END}\n\n## Why\n"
