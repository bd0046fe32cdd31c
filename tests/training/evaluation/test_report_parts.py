"""What a report says beside scores: advice, costs, splits, and mistakes by confusion."""

from __future__ import annotations

import re

import numpy as np

from tests.training.evaluation.test_report import classified, page
from training.evaluation.advice import advice
from training.evaluation.calibration import reliability_by_count
from training.evaluation.costs import GraphCost
from training.evaluation.figures import line_figure
from training.evaluation.page import About
from training.evaluation.record import Curve


def test_what_to_do_next_is_said_where_the_run_shows_its_cause():
    findings = [
        {
            "severity": "warning",
            "check": "duplicate",
            "splits": "train, test",
            "count": 3,
            "summary": "texts of test that train has too",
            "remedy": "Remove them.",
        }
    ]
    evaluation = classified(("no", "yes"))
    name = f"eval_{evaluation.main_metric}"
    history = {"log": [{"epoch": 1.0, name: 0.5}, {"epoch": 2.0, name: 0.6}]}
    said = advice(evaluation, history, findings, 2.0)
    assert said[0] == "train, test: 3 texts of test that train has too. Remove them."
    assert "train longer, with --set training.epochs=4" in said[1]
    assert "With 40 examples to score on" in said[-1]
    assert len(said) <= 4
    assert not any("train longer" in each for each in advice(evaluation, history, [], 5.0))  # it was stopped early


def test_mistakes_are_grouped_by_what_is_taken_for_what(tmp_path):
    html = page(tmp_path, classified(("no", "yes")))
    groups = re.findall(r'<details class="group" data-name="([^"]*)"', html)
    assert set(groups) <= {"no taken for yes", "yes taken for no"}
    assert len(groups) == len(set(groups)) > 0


def test_the_page_has_costs_splits_and_findings(tmp_path):
    about = About(
        costs=[GraphCost("int8", 14.2, 40.1, 1.52, 812.0)],
        labels={"train": {"no": 30, "yes": 10}, "test": {"yes": 2}},
        examples={"train": 40, "test": 2},
        findings=[
            {"severity": "error", "check": "empty text", "splits": "train", "count": 1, "summary": "s", "remedy": "r"}
        ],
    )
    html = page(tmp_path, classified(("no", "yes")), about=about)
    for said in ("Size, memory and speed", "14.2", "812", "The splits", "40 rows", "empty text", "roberta-train check"):
        assert said in html


def test_bins_by_count_have_as_many_scores_each():
    logits = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * 4
    found = reliability_by_count(logits, logits.argmax(axis=1))
    assert np.ptp(found.share * 300) <= 1
    assert len(found.share) == 15
    assert (found.accuracy == 1).all()
    assert len(reliability_by_count(logits[:7], np.zeros(7, np.int64)).share) == 1


def test_epochs_are_whole_numbers_on_the_axis():
    curve = Curve(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3]))
    assert not re.search(r">\d\.5<", line_figure({"a": curve}, "epoch", "score"))
