"""Texts that occur more than once, and texts whose copies have other labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, combinations_with_replacement

from training.checking.findings import Finding, first, shortened
from training.checking.near import near_pairs
from training.data import Item, Part, normal

Copies = list[tuple[str, Item]]  # split and item of each copy of one text


def duplicates(parts: Sequence[Part]) -> list[Finding]:
    """Find copies and near-copies within and across splits, and those whose labels differ."""
    groups: dict[str, Copies] = {}
    for part in parts:
        for item in part.items:
            groups.setdefault(normal(item.words), []).append((part.split, item))
    copies = [group for group in groups.values() if len(group) > 1]
    splits = [part.split for part in parts]
    alone = {key: number for number, (key, group) in enumerate(groups.items()) if not group[0][1].shares_pair}
    numbers = list(alone.values())
    pairs = [(numbers[one], numbers[other]) for one, other, _ in near_pairs(list(alone))]
    near = near_copies(splits, list(groups.values()), pairs)
    return [*across(splits, copies), *near, *conflicts(copies), *within(splits, copies)]


def across(splits: Sequence[str], copies: Sequence[Copies]) -> list[Finding]:
    found = []
    for one, other in combinations(splits, 2):
        shared = [(of(group, one), of(group, other)) for group in copies]
        shared = [(left, right) for left, right in shared if left and right]
        places = [equal(left[0], right[0]) for left, right in shared]
        count = sum(len(right) for _, right in shared)
        remedy = f"Remove them from {one}: the score on {other} is flattered by them."
        found += finding("duplicate", f"{one}, {other}", count, f"texts of {other} that {one} has too", places, remedy)
    return found


def within(splits: Sequence[str], copies: Sequence[Copies]) -> list[Finding]:
    found = []
    for split in splits:
        repeated = [own for group in copies if len(own := of(group, split)) > 1]
        places = [equal(items[0], items[1]) for items in repeated]
        count = sum(len(items) - 1 for items in repeated)
        remedy = "Keep one of each: copies weigh twice."
        found += finding("duplicate", split, count, "texts that an earlier row has", places, remedy)
    return found


def near_copies(splits: Sequence[str], groups: Sequence[Copies], pairs: Sequence[tuple[int, int]]) -> list[Finding]:
    """Find texts that are almost, not to the letter, like another one; `pairs` are indices of `groups`."""
    names = [{split for split, _ in group} for group in groups]
    found = []
    for one, other in combinations_with_replacement(splits, 2):
        nearest: dict[int, int] = {}  # text of other -> text of one
        for old, new in chain(pairs, () if one == other else ((new, old) for old, new in pairs)):
            if one in names[old] and other in names[new] and (one == other or one not in names[new]):
                nearest.setdefault(new, old)
        places = [alike(of(groups[old], one)[0], of(groups[new], other)[0]) for new, old in nearest.items()]
        if one == other:
            summary, remedy = "texts that are almost an earlier one", "Look at them: keep those that add something."
        else:
            summary = f"texts of {other} that are almost one of {one}"
            remedy = f"Look at them: remove from {one} what only repeats {other}."
        where = one if one == other else f"{one}, {other}"
        found += finding("near-duplicate", where, len(places), summary, places, remedy)
    odd = [(groups[old][0][1], groups[new][0][1]) for old, new in pairs]
    places = [f"{alike(old, new)}\n    {answers(old, new)}" for old, new in odd if old.answer != new.answer]
    remedy = "Look at them: where the difference does not matter, one label is wrong."
    found += finding("conflicting labels", "all", len(places), "pairs almost equal with other labels", places, remedy)
    return found


def conflicts(copies: Sequence[Copies]) -> list[Finding]:
    places = []
    for group in copies:
        one = group[0][1]
        if (other := next((item for _, item in group if item.answer != one.answer), None)) is not None:
            places.append(f"{equal(one, other)}\n    {answers(one, other)}")
    remedy = "Decide on one label: the model cannot learn both."
    summary = "texts whose copies have other labels"
    return finding("conflicting labels", "all", len(places), summary, places, remedy)


def finding(check: str, splits: str, count: int, summary: str, places: Sequence[str], remedy: str) -> list[Finding]:
    return [Finding("warning", check, splits, count, summary, first(places), remedy)] if places else []


def of(group: Copies, split: str) -> list[Item]:
    return [item for name, item in group if name == split]


def equal(one: Item, other: Item) -> str:
    return f"{one.where} = {other.where}  {shortened(other.words)!r}"


def alike(one: Item, other: Item) -> str:
    return f"{one.where}  {shortened(one.words)!r}\n  {other.where}  {shortened(other.words)!r}"


def answers(one: Item, other: Item) -> str:
    return shortened(f"{', '.join(one.answer) or 'none'} against {', '.join(other.answer) or 'none'}")
