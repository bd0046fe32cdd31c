"""Scores of answers, held to the figures of SQuAD's official evaluate-v2.0.py on the same cases."""

import numpy as np
import pytest

from training.config import EvaluationConfig
from training.data.questions import QuestionExample
from training.evaluation.bootstrap import score_once
from training.evaluation.question_details import question_details
from training.evaluation.questions import Guess, exact_match, fit_threshold, question_scorer, token_f1
from training.evaluation.record import Trial

# Right answers, what is predicted, how much likelier no answer is, and the official exact match and F1.
CASES = [
    (["Denver Broncos", "The Denver Broncos"], "Denver Broncos", -4.0, 1, 1.0),
    (["Denver Broncos"], "the denver broncos.", -3.5, 1, 1.0),
    (["Santa Clara, California", "Levi's Stadium"], "Levi's Stadium in Santa Clara", -2.0, 0, 0.5714285714285715),
    (["gold", "golden anniversary"], '"golden anniversary"', -1.0, 1, 1.0),
    (["10th and 11th centuries"], "in the 10th and 11th centuries", 0.5, 0, 0.888888888888889),
    (["a", "the"], "an", -0.2, 1, 1.0),
    (["1066"], "1967", 1.5, 0, 0.0),
    (["São Paulo"], "Sao Paulo", -0.5, 0, 0.5),
    (["U.S. Army"], "US army", 0.1, 1, 1.0),
    (["Paris Paris London"], "Paris London London", -0.6, 0, 0.6666666666666666),
    ([], "France", 2.5, 0, 0.0),
    ([], "in 1066", -0.3, 0, 0.0),
    ([], "the", 3.0, 1, 1.0),
    ([], "Rollo", 0.9, 0, 0.0),
]
# By the threshold: exact, f1, HasAns_exact, HasAns_f1 and NoAns_f1, in per cent.
OFFICIAL = {
    1e9: (42.857142857142854, 61.62131519274376, 50.0, 76.26984126984128, 25.0),
    -1.5: (42.857143, 46.938776, 20.0, 25.714286, 100.0),
    0.0: (50.0, 62.414966, 40.0, 57.380952, 75.0),
    0.7: (57.142857, 75.907029, 50.0, 76.269841, 75.0),
    1.0: (50.0, 68.764172, 50.0, 76.269841, 50.0),
}
BEST_F1, BEST_FROM, BEST_UNDER = 75.90702947845804, 0.5, 0.9  # official best_f1; best_f1_thresh and the margin after it
NAMES = ("exact_match", "token_f1", "has_answer_exact_match", "has_answer_f1", "no_answer_accuracy")
EXAMPLES = [QuestionExample("q", "c", tuple((text, 0) for text in right)) for right, *_ in CASES]
GUESSES = [Guess(text, 0.5, margin) for _, text, margin, *_ in CASES]


def scores(threshold, chosen=slice(None)):
    examples = EXAMPLES[chosen]
    return score_once(question_scorer(examples, GUESSES[chosen], threshold), len(examples))


@pytest.mark.parametrize(("right", "text", "_", "exact", "f1"), CASES)
def test_one_answer_scores_as_officially(right, text, _, exact, f1):
    found = score_once(
        question_scorer([QuestionExample("q", "c", tuple((r, 0) for r in right))], [Guess(text, 1, -9)]), 1
    )
    assert (found["exact_match"], found["token_f1"]) == (exact, pytest.approx(f1))


@pytest.mark.parametrize("threshold", OFFICIAL)
def test_a_split_scores_as_officially(threshold):
    found = scores(threshold)
    assert [100 * found[name] for name in NAMES] == pytest.approx(OFFICIAL[threshold], abs=1e-5)


def test_the_threshold_is_the_official_best_one():
    threshold = fit_threshold(EXAMPLES, GUESSES)
    assert BEST_FROM <= threshold < BEST_UNDER
    assert 100 * scores(threshold)["token_f1"] == pytest.approx(BEST_F1)


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_fitted_one(seed):
    rng = np.random.default_rng(seed)
    margins = rng.integers(-3, 4, len(CASES)).astype(float)  # equal ones among them
    guesses = [Guess(text, 0.5, margin) for (_, text, *_), margin in zip(CASES, margins, strict=True)]

    def f1(threshold):
        return score_once(question_scorer(EXAMPLES, guesses, threshold), len(guesses))["token_f1"]

    fitted = fit_threshold(EXAMPLES, guesses)
    assert f1(fitted) == pytest.approx(max(f1(threshold) for threshold in np.arange(-5, 5, 0.25)))


def test_where_every_question_has_an_answer_there_is_no_threshold():
    assert fit_threshold(EXAMPLES[:4], GUESSES[:4]) is None
    assert fit_threshold([], []) is None
    assert scores(None, slice(0, 4)).keys() == {"token_f1", "exact_match"}
    certain = [QuestionExample("q", "c", ())] * 2
    assert fit_threshold(certain, [Guess("a", 0.0, np.inf), Guess("b", 1.0, -1.0)]) < -1


def test_without_a_fitted_threshold_no_answer_must_be_likelier():
    assert scores(None) == scores(0.0)


def test_words_are_those_of_the_official_normalization():
    assert exact_match("The  Cat's, (a) hat!", "cats hat") == 1
    assert exact_match("atheist", "heist") == 0  # articles are whole words
    assert token_f1("", "") == token_f1("the", "") == 1
    assert token_f1("", "a cat") == 0


def test_the_details_name_what_is_wrong():
    trial = Trial("question-answering", "token_f1", "fp32", "test", EvaluationConfig(bootstrap_samples=20))
    found = question_details(EXAMPLES, GUESSES, 0.7, trial)
    counts = {outcome: count for outcome, count, _ in found.tables["errors"].rows}
    assert counts == {
        "right": 8,
        "partly right": 4,
        "wrong": 0,
        "no answer where there is one": 1,
        "an answer where there is none": 1,
    }
    assert found.mistakes[0]["loss"] == 1
    assert found.mistakes[-1]["prediction"] == "in the 10th and 11th centuries"
    low, high = found.intervals["token_f1"]
    assert low <= found.metrics["token_f1"] <= high
