"""Which answers of the pipelines' tasks are right."""

from __future__ import annotations

import pytest

from benchmarks.serving.expected import WrongAnswerError
from benchmarks.serving.tasks import check_candidates, check_entities, masked


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


def test_one_word_is_masked():
    assert masked("one two three") == "one <mask> three"
