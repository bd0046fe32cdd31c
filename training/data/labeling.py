"""What the outputs of a model stand for."""

from __future__ import annotations

from dataclasses import dataclass

from app.bundle import ProblemType


@dataclass(frozen=True)
class Labeling:
    """The names of a model's outputs in order, and the kind of classification that they make.

    `labels`: the label column's name for a regression; empty for a task whose outputs have no names.
    `problem_type`: None for anything but classification.
    """

    labels: tuple[str, ...] = ()
    problem_type: ProblemType | None = None
