"""What a report says of the data: labels, lengths and findings of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.checking.check import check_parts
from training.checking.labels import label_counts
from training.checking.reading import read_parts
from training.config import Recipe


@dataclass(frozen=True)
class DataSummary:
    """`labels`: how often each label occurs, by split. `examples`: how many there are, by split. `findings`: those of
    `check`, as JSON has them."""

    labels: Mapping[str, Mapping[str, int]]
    examples: Mapping[str, int]
    findings: Sequence[Mapping[str, Any]]


def summarize(recipe: Recipe, data_dir: Path) -> DataSummary:
    """Read the splits that the recipe names once more, and check them."""
    parts = read_parts(recipe, data_dir)
    return DataSummary(
        {part.split: dict(label_counts(part)) for part in parts},
        {part.split: len(part.items) for part in parts},
        [asdict(finding) for finding in check_parts(parts, recipe, data_dir)],
    )
