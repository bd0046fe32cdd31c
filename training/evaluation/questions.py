"""Scores of answers to questions, as SQuAD's official evaluation computes them, and the threshold for no answer.

Source: evaluate-v1.1.py and evaluate-v2.0.py of the data set (Rajpurkar et al. 2016, arXiv:1606.05250; 2018,
arXiv:1806.03822).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.questions import QuestionExample
from training.evaluation.bootstrap import Scorer, Scores, Weights

ARTICLES = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Guess:
    """The best answer to a question, and how much likelier no answer is: the difference of the logarithms."""

    text: str
    score: float
    margin: float

    def answer(self, threshold: float) -> str:
        """Return what is answered; nothing where no answer is likelier by more than `threshold`."""
        return "" if self.margin > threshold else self.text


def normalized(text: str) -> str:
    """Return a text in lower case, without ASCII punctuation, articles and more than single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split())


def exact_match(truth: str, guess: str) -> float:
    return float(normalized(truth) == normalized(guess))


def token_f1(truth: str, guess: str) -> float:
    """Return the F1 of an answer's words; where one of the two has none, whether both have none."""
    true, guessed = normalized(truth).split(), normalized(guess).split()
    if not true or not guessed:
        return float(true == guessed)
    common = (Counter(true) & Counter(guessed)).total()
    return 2 * common / (len(true) + len(guessed))


def right_answers(example: QuestionExample) -> list[str]:
    """Return what counts as right: answers that are more than punctuation and articles; else no answer."""
    return [text for text, _ in example.answers if normalized(text)] or [""]


def each_score(examples: Sequence[QuestionExample], answers: Sequence[str]) -> tuple[Values, Values]:
    """Return the exact match and the token F1 of each answer with the nearest right one: (N,) each.

    To give no answer is right where there is none, and wrong everywhere else.
    """
    pairs = list(zip(map(right_answers, examples), answers, strict=True))
    exact = np.array([max(exact_match(truth, answer) for truth in right) for right, answer in pairs], np.float64)
    f1 = np.array([max(token_f1(truth, answer) for truth in right) for right, answer in pairs], np.float64)
    withheld = np.array([not answer for answer in answers], np.bool_)
    right = (~have_answers(examples)).astype(np.float64)
    return np.where(withheld, right, exact), np.where(withheld, right, f1)


def have_answers(examples: Sequence[QuestionExample]) -> NDArray[np.bool_]:
    return np.array([bool(example.answers) for example in examples], np.bool_)


def answers_of(examples: Sequence[QuestionExample], guesses: Sequence[Guess], threshold: float | None) -> list[str]:
    """Return what is answered. Where no threshold was fitted, it is 0, if any question has no answer."""
    if threshold is None:
        threshold = np.inf if have_answers(examples).all() else 0.0
    return [guess.answer(threshold) for guess in guesses]


def question_scorer(
    examples: Sequence[QuestionExample], guesses: Sequence[Guess], threshold: float | None = None
) -> Scorer:
    exact, f1 = each_score(examples, answers_of(examples, guesses, threshold))
    answered = have_answers(examples)

    def score(weights: Weights) -> Scores:
        def mean(values: Values, chosen: NDArray[np.bool_]) -> Values:
            with np.errstate(invalid="ignore"):
                share: Values = weights[:, chosen] @ values[chosen] / weights[:, chosen].sum(axis=1)
            return share

        every = np.ones_like(answered)
        scores = {"token_f1": mean(f1, every), "exact_match": mean(exact, every)}
        if not answered.all() and answered.any():
            scores |= {
                "has_answer_f1": mean(f1, answered),
                "has_answer_exact_match": mean(exact, answered),
                "no_answer_accuracy": mean(exact, ~answered),
            }
        return scores

    return score


def fit_threshold(examples: Sequence[QuestionExample], guesses: Sequence[Guess]) -> float | None:
    """Return the margin beyond which no answer is given, for the highest token F1; None where all have answers.

    It lies midway between two margins; of equally good ones it is the nearest to 0.
    """
    answered = have_answers(examples)
    if not len(answered) or answered.all():
        return None
    margins = np.array([guess.margin for guess in guesses])
    _, f1 = each_score(examples, [guess.text for guess in guesses])
    order = np.argsort(margins, kind="stable")
    given, withheld = f1[order], (~answered[order]).astype(np.float64)  # what each is worth, with an answer and without
    totals = np.append(0, given.cumsum()) + withheld.sum() - np.append(0, withheld.cumsum())  # of the first k answered
    bounds = cuts(margins[order])  # (N + 1,)
    best = np.flatnonzero(np.isfinite(bounds) & (totals >= totals[np.isfinite(bounds)].max() - 1e-9))
    return float(bounds[best[np.abs(bounds[best]).argmin()]])


def cuts(ascending: Values) -> Values:
    """Return a number between each two neighbors, and one beyond either end: (N + 1,); NaN between equal ones."""
    finite = np.clip(ascending, -1e6, 1e6)
    bounds = np.concatenate([[finite[0] - 1], (finite[1:] + finite[:-1]) / 2, [finite[-1] + 1]])
    bounds[1:-1][finite[1:] == finite[:-1]] = np.nan
    return bounds
