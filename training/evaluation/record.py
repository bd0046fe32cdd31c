"""Everything that is known of one variant of a model on one split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.bundle import ProblemType
from training.config import EvaluationConfig
from training.evaluation.bootstrap import Interval

Row = dict[str, object]  # what is known of one example, ready for JSON


@dataclass(frozen=True)
class Table:
    """Names of columns and the rows below them: texts, whole numbers, and shares in 0..1 as floats."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str | int | float, ...]]


@dataclass(frozen=True)
class Curve:
    """Points of a plot, in order."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """What is being evaluated, and how: one variant of a model, such as `int8`, on one split, such as `test`."""

    task: str
    main_metric: str
    variant: str
    split: str
    config: EvaluationConfig
    seed: int = 0


@dataclass(frozen=True)
class Words:
    """What the report calls things: what is counted, what is resampled, the table by label, and the mistakes."""

    counted: str = "examples"
    resampled: str = "examples"
    per_label: str = "Labels"
    mistakes: str = "Wrong predictions, those that found the truth least likely first."


@dataclass(frozen=True)
class Evaluation:
    """All that is known of one trial.

    `metrics` and their 95 % `intervals` go by name. `tables`: `per_label`, `errors`.
    `confusion`: (C, C) counts, a row per true label, for one label of several. `curves`: `roc`,
    `precision_recall`, `reliability`, `reliability_before_temperature`, `regression`, `cosines`.
    `predictions`: an object per example, in order. `mistakes`: the worst of them, the worst first.
    """

    trial: Trial
    problem_type: ProblemType | None
    labels: tuple[str, ...]
    count: int
    metrics: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None
    curves: dict[str, Curve] = field(default_factory=dict)
    predictions: Sequence[Row] = ()
    mistakes: Sequence[Row] = ()
    words: Words = Words()

    @property
    def variant(self) -> str:
        return self.trial.variant

    @property
    def split(self) -> str:
        return self.trial.split

    @property
    def task(self) -> str:
        return self.trial.task

    @property
    def main_metric(self) -> str:
        return self.trial.main_metric


def worst(rows: Sequence[Row], count: int) -> list[Row]:
    """Return the `count` wrong predictions of the highest loss, the highest first."""
    return sorted((row for row in rows if not row["correct"]), key=loss, reverse=True)[:count]


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values with five decimals: enough for any score."""
    return {name: round(float(value), 5) for name, value in values.items()}


def loss(row: Row) -> float:
    return float(str(row["loss"]))
