"""Two reports on the same examples: which model is better, whether that may be chance, and which texts flipped.

Sources: McNemar 1947, Note on the sampling error of the difference between correlated proportions, in its exact form;
of the interval: the paired bootstrap of `bootstrap.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from app.bundle.files import read_json
from app.bundle.manifest import BundleError
from training.config import RecipeError
from training.evaluation.bootstrap import Interval, Scorer, Weights, bootstrap_intervals, score_once
from training.evaluation.classification import label_scorer
from training.evaluation.metrics import greater_is_better

SAMPLES = 2000
RIGHT = "share_right"  # of examples that are right as a whole, whatever the task
LOSS = "mean_loss"
SIGNIFICANCE = 0.05

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Scored:
    """One variant of a report: its title and name, main metric, problem type, and a row for each example."""

    title: str
    variant: str
    metric: str
    problem_type: str | None
    rows: Sequence[Row]


@dataclass(frozen=True)
class Difference:
    """A metric of both, what the second has more than the first, and where that lies in 95 of 100 resamples."""

    metric: str
    before: float
    after: float
    interval: Interval | None

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves no difference out."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    @property
    def is_better(self) -> bool:
        return (self.after > self.before) == (self.metric != LOSS and greater_is_better(self.metric))


@dataclass(frozen=True)
class Comparison:
    """`fixed`: (before, after) of the texts that only the second gets right; `broken`: that only the first does.
    `changed`: wrong in both, in another way. `p_value`: of McNemar's exact test over the first two."""

    differences: Sequence[Difference]
    fixed: Sequence[tuple[Row, Row]]
    broken: Sequence[tuple[Row, Row]]
    changed: Sequence[tuple[Row, Row]]
    p_value: float
    count: int


def read_report(folder: Path, variant: str | None = None) -> Scored:
    """Read the predictions of one variant, the first where none is named, from a run's folder or a report's.

    Raises `RecipeError` where there is no report, or none that is understood, or it has no such variant.
    """
    place = next((each for each in (folder, folder / "report") if (each / "metrics.json").is_file()), None)
    if place is None:
        raise RecipeError(f"{folder} has no report; give the folder of a finished run, or of a report")
    try:
        about = read_json(place / "metrics.json")
        variants = list(about["variants"])
        chosen = variant or variants[0]
        with (place / "predictions.jsonl").open(encoding="utf-8") as file:
            rows = [row for row in map(json.loads, file) if row["variant"] == chosen]
        scored = Scored(about["title"], chosen, about["main_metric"], about["problem_type"], rows)
    except (BundleError, OSError, ValueError, LookupError, TypeError) as error:
        raise RecipeError(
            f"{place} is no report that is understood; write it again with `roberta-train evaluate`"
        ) from error
    if chosen not in variants:
        raise RecipeError(f"{folder} has no variant {chosen!r}; it has {', '.join(variants)}")
    return scored


def compare(before: Scored, after: Scored, seed: int = 0) -> Comparison:
    """Compare two variants. Raises `RecipeError` where they were not scored on the same examples."""
    asked = [[question_of(row) for row in each.rows] for each in (before, after)]
    if not before.rows or asked[0] != asked[1]:
        raise RecipeError(
            "the two were not scored on the same examples; score both with `roberta-train evaluate` on one file"
        )
    pairs = list(zip(before.rows, after.rows, strict=True))
    fixed = [pair for pair in pairs if not is_right(pair[0]) and is_right(pair[1])]
    broken = [pair for pair in pairs if is_right(pair[0]) and not is_right(pair[1])]
    changed = [
        (one, other)
        for one, other in pairs
        if not is_right(one) and not is_right(other) and one["prediction"] != other["prediction"]
    ]
    flipped = len(fixed) + len(broken)
    p_value = float(binomtest(len(fixed), flipped).pvalue) if flipped else 1.0
    return Comparison(differences(before, after, seed), fixed, broken, changed, p_value, len(pairs))


def is_right(row: Row) -> bool:
    """Whether an example is right as a whole; a number never is."""
    return bool(row.get("correct", False))


def question_of(row: Row) -> tuple[str, ...]:
    """Return what was asked and what is true, by which two rows are about one example."""
    return tuple(json.dumps(row.get(key), ensure_ascii=False) for key in ("text", "text_pair", "truth"))


def differences(before: Scored, after: Scored, seed: int) -> list[Difference]:
    """Return the difference of the main metric, where predictions tell it, of what is right, and of the loss."""
    one, other = (scorer_of(each.rows, each.problem_type) for each in (before, after))
    count = len(before.rows)
    first, second = score_once(one, count), score_once(other, count)
    names = [name for name in (before.metric, RIGHT, LOSS) if name in first.keys() & second.keys()]

    def change(weights: Weights) -> dict[str, NDArray[np.float64]]:
        old, new = one(weights), other(weights)
        return {name: new[name] - old[name] for name in names}

    intervals = bootstrap_intervals(change, count, SAMPLES, seed)
    return [Difference(name, first[name], second[name], intervals.get(name)) for name in names]


def scorer_of(rows: Sequence[Row], problem_type: str | None) -> Scorer:
    """Return a scorer of the share that is right, of the mean loss, and, for labels, of all metrics of labels."""
    known = {RIGHT: "correct", LOSS: "loss"}
    values = {
        name: np.array([float(row[key]) for row in rows], np.float32)  # (N,)
        for name, key in known.items()
        if all(key in row for row in rows)
    }
    of_labels = label_scorer_of(rows, problem_type)

    def score(weights: Weights) -> dict[str, NDArray[np.float64]]:
        means = {name: (weights @ each / weights.sum(axis=1)).astype(np.float64) for name, each in values.items()}
        return means | (of_labels(weights) if of_labels else {})

    return score


def label_scorer_of(rows: Sequence[Row], problem_type: str | None) -> Scorer | None:
    if problem_type not in ("single_label_classification", "multi_label_classification"):
        return None
    listed = [(as_list(row["truth"]), as_list(row["prediction"])) for row in rows]
    labels = sorted({label for both in listed for names in both for label in names})
    number = {label: index for index, label in enumerate(labels)}
    truth, guess = (np.zeros((len(rows), len(labels)), np.int64) for _ in range(2))
    for index, both in enumerate(listed):
        for matrix, names in zip((truth, guess), both, strict=True):
            matrix[index, [number[name] for name in names]] = 1
    return label_scorer(truth, guess, problem_type)  # type: ignore[arg-type]  # it is one of two of these


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
