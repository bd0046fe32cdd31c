"""What kind of classification the labels of a training split make."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence

from app.bundle import ProblemType
from training.data.spelling import as_label, stands_for_none

log = logging.getLogger(__name__)

CHOICES = "single_label_classification, multi_label_classification or regression"
NUMBERS_SHARE = 0.9  # of labels that are numbers, from which on the others are taken for mistakes
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")


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

    Whole numbers are classes, as 0 and 1 or one to five stars usually are. Lists of one label each, as annotation
    tools write them, are single labels. What stands for no label does not count, nor do a few labels that are no
    numbers among many that are.
    """
    if separator is not None:
        return "multi_label_classification", f"data.label_separator is {separator!r}"
    lists = [label for label in labels if isinstance(label, list)]
    if lists and len(lists) == len(labels) and all(len(each) == 1 for each in lists):
        return "single_label_classification", "every list of labels has one"
    if lists:
        return "multi_label_classification", "labels are lists"
    numbers = [number_of(label) for label in labels if not stands_for_none(str(label))]
    known = [number for number in numbers if number is not None]
    if known and len(known) >= NUMBERS_SHARE * len(numbers):
        if not all(number.is_integer() for number in known):
            every = "every label" if len(known) == len(labels) else "nearly every label"
            commas = " (commas are decimal)" if any(map(has_decimal_comma, labels)) else ""
            return "regression", f"{every} is a number and not all are whole{commas}"
        if len(known) == len(numbers):
            return (
                "single_label_classification",
                "every label is a whole number, which is taken for the name of a class",
            )
    return "single_label_classification", "every text has one label"


def number_of(label: object) -> float | None:
    """Return the finite number that a label is, or is the text of; None where it is neither. A comma may be decimal."""
    if isinstance(label, bool) or not isinstance(label, int | float | str):
        return None
    text = str(label).replace(",", ".") if has_decimal_comma(label) else label
    try:
        number = float(text)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def has_decimal_comma(label: object) -> bool:
    return isinstance(label, str) and DECIMAL_COMMA.fullmatch(label.strip()) is not None


def raw_labels(label: object, separator: str | None) -> list[str]:
    """Return the labels of one text as the file has them: a list's, a cell's parts, or the one."""
    if isinstance(label, list):
        return [str(each) for each in label]
    if separator is not None and isinstance(label, str):
        return [part for each in label.split(separator) if (part := each.strip())]
    return [str(label)]


def label_values(label: object, separator: str | None) -> tuple[str, ...]:
    """Return the labels of one text, each once, in the spelling that several spellings have in common."""
    return tuple(dict.fromkeys(as_label(each) for each in raw_labels(label, separator)))


def are_indicators(labels: Sequence[object], names: int = 0) -> bool:
    """Say whether labels are lists of one length with 0 or 1 for each class.

    Without as many `names`, some list must repeat a value, which no list of names does.
    """
    lists = [label for label in labels if isinstance(label, list)]
    if not lists or len(lists) < len(labels) or len({len(each) for each in lists}) > 1:
        return False
    flat = [[str(value) for value in each] for each in lists]
    known = {"0", "1", "0.0", "1.0", "True", "False"}
    repeats = any(len(set(each)) < len(each) for each in flat)
    return all(value in known for each in flat for value in each) and (repeats or len(flat[0]) == names)
