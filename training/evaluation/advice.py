"""What to do next, by rules: each speaks only where the run shows its cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from training.evaluation.metrics import greater_is_better, metric_name
from training.evaluation.record import Evaluation

MOST = 4
WIDE = 0.06  # of the main metric's interval, from which on a test split is too small to choose by
WEAK_F1, LEAST_SUPPORT = 0.5, 5
BIG_SHARE, LEAST_CONFUSED = 0.2, 5  # of the mistakes, in one pair of labels
CHECKS = ("duplicate", "conflicting labels", "length")  # whose warnings are worth a line

Findings = Sequence[Mapping[str, Any]]


def advice(evaluation: Evaluation, history: Mapping[str, Any], findings: Findings, epochs: float | None) -> list[str]:
    """Return at most four sentences, those with the greatest effect first."""
    rules = (
        *data_rules(findings),
        *longer(evaluation, history, epochs),
        *weak_label(evaluation),
        *one_confusion(evaluation),
        *small_split(evaluation),
    )
    return list(rules)[:MOST]


def data_rules(findings: Findings) -> Iterator[str]:
    """Say what `check` warned of that changes scores."""
    for check in CHECKS:
        for each in findings:
            if each["check"] == check and each["severity"] == "warning":
                yield f"{each['splits']}: {each['count']:,} {each['summary']}. {each['remedy']}"
                break


def longer(evaluation: Evaluation, history: Mapping[str, Any], epochs: float | None) -> Iterator[str]:
    """Say that the last epoch was the best, of a training that was not stopped early."""
    key = f"eval_{evaluation.main_metric}"
    scores = [(each["epoch"], each[key]) for each in history.get("log", ()) if key in each and "epoch" in each]
    if len(scores) < 2 or epochs is None or scores[-1][0] < epochs:
        return
    sign = 1 if greater_is_better(evaluation.main_metric) else -1
    if sign * scores[-1][1] > max(sign * score for _, score in scores[:-1]):
        yield (
            f"The last epoch was the best by {metric_name(evaluation.main_metric)[0]}: train longer, "
            f"with --set training.epochs={2 * epochs:g} and another --run-dir."
        )


def weak_label(evaluation: Evaluation) -> Iterator[str]:
    table = evaluation.tables.get("per_label")
    if table is None or not {"f1", "support"} <= set(table.columns):
        return
    f1, support = table.columns.index("f1"), table.columns.index("support")
    weak = [row for row in table.rows if float(row[support]) >= LEAST_SUPPORT and float(row[f1]) < WEAK_F1]
    if weak:
        worst = min(weak, key=lambda row: float(row[f1]))
        more = f", and {len(weak) - 1} more labels are below {WEAK_F1}" if len(weak) > 1 else ""
        score = f"{worst[0]} has an F1 of {float(worst[f1]):.2f}{more}"
        yield f"{score}: add training examples of it, or join it with another."


def one_confusion(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.confusion is None or len(evaluation.labels) < 3:
        return
    wrong = evaluation.confusion * (1 - np.eye(len(evaluation.labels), dtype=np.int64))
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    count, total = int(wrong[row, column]), int(wrong.sum())
    if count >= LEAST_CONFUSED and count >= BIG_SHARE * total:
        truth, guess = evaluation.labels[int(row)], evaluation.labels[int(column)]
        yield (
            f"{count} of {total} mistakes are {truth} taken for {guess}: read them below; if a person hesitates too, "
            "write down how the two differ and label them anew."
        )


def small_split(evaluation: Evaluation) -> Iterator[str]:
    interval = evaluation.intervals.get(evaluation.main_metric)
    if interval is not None and interval[1] - interval[0] > WIDE:
        name = metric_name(evaluation.main_metric)[0]
        yield (
            f"With {evaluation.count:,} {evaluation.words.counted} to score on, {name} "
            f"is known to {(interval[1] - interval[0]) / 2:.3f} only: label more for {evaluation.split} before "
            "choosing between runs by less."
        )
