"""What is odd about a split: labels spelled in several ways, or that often stand for none, and what its task finds."""

from __future__ import annotations

from collections.abc import Sequence

from training.checking.findings import Finding
from training.data import Part, label_remarks


def oddities(parts: Sequence[Part]) -> list[Finding]:
    """Find what is odd about the spelling of labels, and what the task finds odd, in each split."""
    return [
        Finding("warning", each.check, part.split, each.count, each.summary, each.examples, each.remedy)
        for part in parts
        for each in (*label_remarks(part.spelled, are_numbers=part.are_numbers), *part.remarks)
    ]
