"""Labels: known to training, frequent enough, and in balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from training.checking.findings import Finding, first
from training.data import Part

RARE = 10  # training examples under which a label is hardly learned
IMBALANCE = 10.0  # the most frequent label is so many times the rarest


def too_few_labels(parts: Sequence[Part]) -> list[Finding]:
    """Find a training split whose labels, or entity types, are too few to tell anything apart."""
    train = parts[0]
    names = sorted(label_counts(train))
    if not train.items or len(names) >= train.least_labels:
        return []
    summary = f"only the label {names[0]!r}" if names else "no label, or no entity"
    remedy = "There is nothing to learn; add examples of other labels."
    return [Finding("error", "too few labels", "train", len(names), summary, (), remedy)]


def unknown_labels(parts: Sequence[Part]) -> list[Finding]:
    """Find labels, or entity types, of validation and test that training does not have."""
    train, *others = parts
    known = {label for item in train.items for label in item.labels}
    found = []
    for part in others:
        places = [f"{item.where}  {label!r}" for item in part.items for label in sorted(set(item.labels) - known)]
        if places:
            summary = "label that train does not have"
            remedy = "Add training examples of it, correct its spelling, or remove these rows."
            found.append(Finding("error", "unknown label", part.split, len(places), summary, first(places), remedy))
    return found


def rare_labels(parts: Sequence[Part]) -> list[Finding]:
    """Find labels, or entity types, with few training examples."""
    counts = label_counts(parts[0])
    rare = sorted((count, label) for label, count in counts.items() if count < RARE)
    if not rare:
        return []
    examples = first([f"{label!r}: {count} examples" for count, label in rare])
    summary, remedy = f"labels with fewer than {RARE} examples", "Add examples of them, or join them with others."
    return [Finding("warning", "rare label", "train", len(rare), summary, examples, remedy)]


def class_balance(parts: Sequence[Part]) -> list[Finding]:
    """Describe how often each label occurs in training; a large difference is a warning."""
    counts = label_counts(parts[0]).most_common()
    if not counts:
        return targets(parts[0])
    total = sum(count for _, count in counts)
    least, most = counts[-1][1], counts[0][1]
    summary = f"{len(counts)} labels, {least:,} to {most:,} examples of each"
    shown = counts if len(counts) <= 4 else [*counts[:2], *counts[-2:]]
    examples = tuple(f"{label!r}: {count:,} ({count / total:.1%})" for label, count in shown) if most > least else ()
    remedy = "Set training.class_weights to balanced, and judge by macro_f1." if most > IMBALANCE * least else ""
    return [Finding("warning" if remedy else "note", "class balance", "train", len(counts), summary, examples, remedy)]


def targets(part: Part) -> list[Finding]:
    numbers = sorted(item.target for item in part.items if item.target is not None)
    if not numbers:
        return []
    summary = f"numbers from {numbers[0]:g} to {numbers[-1]:g}, median {numbers[len(numbers) // 2]:g}"
    return [Finding("note", "targets", part.split, len(numbers), summary)]


def label_counts(part: Part) -> Counter[str]:
    return Counter(label for item in part.items for label in item.labels)
