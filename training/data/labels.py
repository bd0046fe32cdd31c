"""What kind of classification the labels of a training split make."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from app.bundle import ProblemType

log = logging.getLogger(__name__)

CHOICES = "single_label_classification, multi_label_classification or regression"


def choose_problem_type(labels: Sequence[object], separator: str | None, wanted: ProblemType | None) -> ProblemType:
    """Return the problem type that is wanted, or else the one that the labels show; say which and why."""
    if wanted is not None:
        log.info("Problem type: %s, as the recipe says.", wanted)
        return wanted
    found, reason = find_problem_type(labels, separator)
    log.info("Problem type: %s, because %s. To choose another, set problem_type to %s.", found, reason, CHOICES)
    return found


def find_problem_type(labels: Sequence[object], separator: str | None) -> tuple[ProblemType, str]:
    """Return the problem type that labels show, and the reason.

    Whole numbers are classes, as 0 and 1 or one to five stars usually are.
    """
    if separator is not None:
        return "multi_label_classification", f"data.label_separator is {separator!r}"
    if any(isinstance(label, list) for label in labels):
        return "multi_label_classification", "labels are lists"
    numbers = [number_of(label) for label in labels]
    if None not in numbers:
        if not all(number.is_integer() for number in numbers if number is not None):
            return "regression", "every label is a number and not all are whole"
        return "single_label_classification", "every label is a whole number, which is taken for the name of a class"
    return "single_label_classification", "every text has one label"


def number_of(label: object) -> float | None:
    """Return the finite number that a label is, or is the text of; None where it is neither."""
    if isinstance(label, bool) or not isinstance(label, int | float | str):
        return None
    try:
        number = float(label)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def label_values(label: object, separator: str | None) -> tuple[str, ...]:
    """Return the labels of one text as the file has them, each once: a list's, a cell's parts, or the one."""
    if isinstance(label, list):
        values = [str(each) for each in label]
    elif separator is not None and isinstance(label, str):
        values = [part for each in label.split(separator) if (part := each.strip())]
    else:
        values = [str(label)]
    return tuple(dict.fromkeys(values))
