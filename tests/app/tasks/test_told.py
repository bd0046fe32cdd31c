"""Which labels are told of an answer, whatever the request wants to see of it."""

import math

import pytest

from app.tasks.classify import Classify
from app.tasks.ner import Ner
from app.tasks.told import NOTHING, telling


class Described:
    def __init__(self, labels, problem_type="single_label_classification"):
        self.labels, self.problem_type = labels, problem_type


def classifier(labels, problem_type="single_label_classification", thresholds=None):
    task = object.__new__(Classify)
    task.manifest, task.temperature, task.thresholds = Described(labels, problem_type), 1.0, thresholds
    return task


def told_of(task, logits):
    told = []
    task.tell_answer(logits, lambda *each: told.append(each))
    return told


def test_of_one_label_the_best_is_told_with_its_probability():
    [(label, sureness)] = told_of(classifier(["bad", "good"]), [0.0, math.log(3)])
    assert (label, sureness) == ("good", pytest.approx(0.75))


@pytest.mark.parametrize(
    ("thresholds", "labels"),
    [(None, ["b"]), ({"a": 0.1, "b": 0.1, "c": 0.9}, ["a", "b"]), ({"a": 0.9, "b": 0.99, "c": 0.9}, [NOTHING])],
)
def test_of_several_labels_those_that_reach_their_thresholds_are_told(thresholds, labels):
    task = classifier(["a", "b", "c"], "multi_label_classification", thresholds)
    assert [label for label, _ in told_of(task, [-1.0, 1.0, -3.0])] == labels


def test_a_number_has_no_label():
    assert classifier(["score"], "regression").told_labels() == ()
    assert classifier(["a", "b"]).told_labels() == (NOTHING, "a", "b")


def test_entities_are_told_by_type_and_a_text_without_one_too():
    told = []
    found = [{"entity_group": "PER", "score": 0.5}, {"entity_group": "O", "score": 0.75}]
    assert list(telling(found, lambda *each: told.append(each))) == found
    assert told == [("PER", 0.5)]
    list(telling(found[1:], lambda *each: told.append(each)))
    assert told[1][0] == NOTHING
    assert math.isnan(told[1][1])


def test_types_of_entities_are_told_without_their_places():
    task = object.__new__(Ner)
    task.marks = [type("Mark", (), {"kind": kind}) for kind in ("O", "PER", "PER", "LOC")]
    assert task.told_labels() == (NOTHING, "PER", "LOC")
