"""The whole evaluation of answers to questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from training.data.questions import QuestionExample, stated
from training.evaluation.bootstrap import bootstrap_intervals, score_once
from training.evaluation.questions import Guess, answers_of, each_score, question_scorer
from training.evaluation.record import Evaluation, Row, Table, Trial, Words, worst

AROUND = 120  # characters of a context that are shown on either side of an answer
OUTCOMES = ("right", "partly right", "wrong", "no answer where there is one", "an answer where there is none")


def question_details(
    examples: Sequence[QuestionExample], guesses: Sequence[Guess], threshold: float | None, trial: Trial
) -> Evaluation:
    """Evaluate the best answer to each question; the worst mistakes share the least with a right answer."""
    scorer, count = question_scorer(examples, guesses, threshold), len(examples)
    answers = answers_of(examples, guesses, threshold)
    exact, f1 = each_score(examples, answers)
    rows = list(map(prediction, examples, guesses, answers, exact.tolist(), f1.tolist()))
    return Evaluation(
        trial,
        None,
        (),
        count,
        metrics=score_once(scorer, count),
        intervals=bootstrap_intervals(scorer, count, trial.config.bootstrap_samples, trial.seed),
        tables={"errors": outcomes(examples, answers, f1.tolist(), exact.tolist())},
        predictions=rows,
        mistakes=worst(rows, trial.config.mistakes),
        words=Words(
            counted="questions",
            resampled="questions",
            mistakes="Wrong answers, those that share the least with a right one first.",
        ),
    )


def outcomes(
    examples: Sequence[QuestionExample], answers: Sequence[str], f1: Sequence[float], exact: Sequence[float]
) -> Table:
    """Count what is right and wrong with answers, and each count's share."""
    counts = Counter(map(outcome, examples, answers, f1, exact))
    return Table(
        ("outcome", "questions", "share"), [(name, counts[name], counts[name] / len(answers)) for name in OUTCOMES]
    )


def outcome(example: QuestionExample, answer: str, f1: float, exact: float) -> str:
    if exact:
        return OUTCOMES[0]
    if not example.answers:
        return OUTCOMES[4]
    return OUTCOMES[3] if not answer else OUTCOMES[1] if f1 else OUTCOMES[2]


def prediction(example: QuestionExample, guess: Guess, answer: str, exact: float, f1: float) -> Row:
    """Return an object for a question; `text_pair` is what stands around the right answer, `loss` is 1 - F1."""
    return {
        "text": example.question,
        "text_pair": excerpt(example),
        "truth": list(stated(example.answers)),
        "prediction": answer or "none",
        "correct": bool(exact),
        **({"scores": {answer: round(guess.score, 5)}} if answer else {}),
        "margin": round(guess.margin, 5),
        "f1": round(f1, 5),
        "loss": round(1 - f1, 5),
    }


def excerpt(example: QuestionExample) -> str:
    """Return the part of a context around its first answer, or its beginning."""
    text, start = example.answers[0] if example.answers else ("", 0)
    first, last = max(0, start - AROUND), start + len(text) + AROUND
    return f"{'…' if first else ''}{example.context[first:last]}{'…' if last < len(example.context) else ''}"
