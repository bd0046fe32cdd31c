"""What is odd about the spelling of labels: said before a training, and by `check`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from training.data.spelling import NO_CLASS, alike, as_label, merged, stands_for_none

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remark:
    """One thing that is odd. `check`: its name. `count`: labels concerned. `examples`: which, with their counts."""

    check: str
    count: int
    summary: str
    examples: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        """Say it in one line."""
        more = "; ..." if self.count > len(self.examples) else ""
        return f"{self.summary}: {'; '.join(self.examples)}{more}. {self.remedy}"


def label_remarks(spelled: Mapping[str, int], *, are_numbers: bool = False) -> list[Remark]:
    """Return what is odd about labels as a file spells them; numbers of a regression are no labels.

    The spellings that are read as one label, those that differ in case, and those that often stand for none.
    """
    if are_numbers:
        return []
    labels: Counter[str] = Counter()
    for each, count in spelled.items():
        labels[as_label(each)] += count
    one = merged(spelled)
    cases = alike(labels)
    none = {label: n for label, n in labels.items() if stands_for_none(label) or label in NO_CLASS}
    found = [
        remark(
            "label spelling",
            [counted(ways) for ways in one.values()],
            "labels that differ in white space or Unicode form are read as one",
            "Write each in one way where other programs read the data too.",
        ),
        remark(
            "label spelling",
            [counted({label: labels[label] for label in group}) for group in cases],
            "labels that differ in case or the like are classes of their own",
            "Write them alike if they are one.",
        ),
        remark(
            "label of none",
            [counted({label: count}) for label, count in none.items()],
            "labels that often stand for none are classes here",
            "Set data.drop_unlabeled to leave these rows out, or give them a label.",
        ),
    ]
    return [each for each in found if each is not None]


def remark(check: str, examples: list[str], summary: str, remedy: str) -> Remark | None:
    return Remark(check, len(examples), summary, tuple(examples[:3]), remedy) if examples else None


def counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label!r} {count:,}" for label, count in counts.items())


def say(remarks: list[Remark]) -> None:
    """Log each remark as a warning."""
    for each in remarks:
        log.warning("%s", each)
