"""Labels and entity types that are spelled in several ways, or that often stand for none."""

from __future__ import annotations

from collections.abc import Sequence

from training.checking.findings import Finding
from training.data import Part, label_remarks


def odd_labels(parts: Sequence[Part]) -> list[Finding]:
    """Find what is odd about the spelling of labels, in each split."""
    return [
        Finding("warning", each.check, part.split, each.count, each.summary, each.examples, each.remedy)
        for part in parts
        for each in label_remarks(part.spelled, are_numbers=part.are_numbers)
    ]
