"""Which answers of a server under load are right, and that a wrong one ends the run."""

from __future__ import annotations

import json

import pytest

from benchmarks.serving.expected import WrongAnswerError, check_agreement
from benchmarks.serving.load import Answers, LoadGenerator
from benchmarks.serving.servers import HUGGING_FACE
from benchmarks.serving.texts import TextSet

EXPECTED = [{"negative": 0.9, "positive": 0.1}, {"negative": 0.2, "positive": 0.8}]
SHORT = TextSet("short", ["a", "b"], [10, 30])


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
