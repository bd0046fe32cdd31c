"""Texts as `check` looks at them: whatever is wrong with single rows, all of them are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from training.config import Recipe, TagScheme
from training.data.errors import DataError
from training.data.remarks import Remark


@dataclass(frozen=True)
class Item:
    """One text and where it is.

    `text_pair`: the second text of a pair that a model reads as one. `labels`: its labels, or the entity types in it.
    `answer`: what must be equal for the same text everywhere: the labels, the number, or the entities. `target`: the
    number of a regression example. `bare`: an entity begins with I- although the scheme is IOB2. `doubts`: marked spans
    that begin or end within a word. `word_count`: words of a sentence with tags. `shares_pair`: other items may have
    the same second text, such as questions about it: then it is what must not be in two splits. `others`: further
    texts, each of which a model reads by itself.
    """

    where: str
    text: str
    labels: tuple[str, ...]
    answer: tuple[str, ...] = ()
    text_pair: str | None = None
    target: float | None = None
    bare: bool = False
    doubts: tuple[str, ...] = ()
    word_count: int = 0
    shares_pair: bool = False
    others: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return all the text that there is."""
        pair = () if self.text_pair is None else (self.text_pair,)
        return "\n".join((self.text, *pair, *self.others))

    @property
    def kept_together(self) -> str:
        """Return the text by which items go into one split."""
        return self.text_pair if self.shares_pair and self.text_pair is not None else self.words


@dataclass
class Part:
    """One split as far as it can be read: its texts, what was refused, and how many labels training needs of it.

    `found`: what was found about its file. `spelled`: the labels, or entity types, as the file has them, with their
    counts. `are_numbers`: the problem is a regression. `remarks`: what its task finds odd.
    """

    split: str
    items: list[Item] = field(default_factory=list)
    refused: list[DataError] = field(default_factory=list)
    least_labels: int = 0
    spelled: Counter[str] = field(default_factory=Counter)
    are_numbers: bool = False
    found: str = ""
    remarks: list[Remark] = field(default_factory=list)


class Convention:
    """What validation and test take over from the training split: the problem type, or the scheme of the tags."""

    def __init__(self, recipe: Recipe) -> None:
        self.problem_type = recipe.problem_type
        self.scheme: TagScheme | None = recipe.data.tag_scheme
