"""What the report's template is filled with: plain texts, rows and drawings."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.advice import advice
from training.evaluation.costs import GraphCost
from training.evaluation.metrics import metric_name, number
from training.evaluation.page_figures import TABLE_OF_AT_MOST, curve_figures, heat_map_of, learning_curves
from training.evaluation.record import Evaluation, Row, Table
from training.provenance import versions

PAIRS_SHOWN = 30
LABELS_SHOWN = 40


def page_of(
    evaluations: Sequence[Evaluation],
    title: str,
    history: Mapping[str, Any],
    data: Mapping[str, object],
    recipe: Mapping[str, Any],
    command: str | None,
    about: About,
) -> dict[str, Any]:
    """Return the template's variables; everything but the drawings is escaped by the template."""
    first = evaluations[0]
    main = first.main_metric
    return {
        "title": without_paths(title),
        "first": first,
        "headline": cell(first, main) | {"name": metric_name(main)[0]},
        "variants": evaluations,
        "metrics": metric_rows(evaluations),
        "learning": learning_curves(history, main),
        "seconds": history.get("seconds"),
        "tables": {name: shown(table) for name, table in first.tables.items()},
        "confusion": confusion_rows(first) if 1 < len(first.labels) <= TABLE_OF_AT_MOST else None,
        "heat_map": heat_map_of(first),
        "pairs": confused_pairs(first),
        "curves": curve_figures(first),
        "mistakes": len(first.mistakes),
        "groups": grouped([mistake(row) for row in first.mistakes]),
        "costs": about.costs,
        "splits": split_rows(about),
        "findings": [each for each in about.findings if each["severity"] != "note" or each["check"] == "length"],
        "advice": advice(first, history, about.findings, epochs_of(recipe)),
        "data": [(name, without_paths(str(value))) for name, value in data.items()],
        "recipe": list(flat(recipe)),
        "command": without_paths(command) if command else None,
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }


@dataclass(frozen=True)
class About:
    """What else the report shows. `costs`: of each graph. `labels` and `examples`: how many there are, by split.
    `findings`: those of `roberta-train check`, as JSON has them."""

    costs: Sequence[GraphCost] = ()
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    examples: Mapping[str, int] = field(default_factory=dict)
    findings: Sequence[Mapping[str, Any]] = ()


def epochs_of(recipe: Mapping[str, Any]) -> float | None:
    training = recipe.get("training")
    return float(training["epochs"]) if isinstance(training, Mapping) and "epochs" in training else None


def split_rows(about: About) -> dict[str, Any] | None:
    """Return the splits, and a row for each label with how often it occurs in each; None where nothing is known."""
    if not about.examples:
        return None
    totals: Counter[str] = Counter()
    for counts in about.labels.values():
        totals.update(counts)
    rows = [
        (label, [about.labels.get(split, {}).get(label, 0) for split in about.examples])
        for label, _ in totals.most_common(LABELS_SHOWN)
    ]
    return {"names": list(about.examples), "sizes": list(about.examples.values()), "rows": rows, "labels": len(totals)}


def grouped(mistakes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mistakes by what is taken for what, the greatest group first, each in its order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in mistakes:
        groups.setdefault(each["group"], []).append(each)
    return [{"name": name, "mistakes": rows} for name, rows in sorted(groups.items(), key=lambda group: -len(group[1]))]


def metric_rows(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Return a row per metric that any variant has, the main one first, with a cell per variant."""
    main = evaluations[0].main_metric
    names = dict.fromkeys([main, *(name for each in evaluations for name in each.metrics)])
    return [
        {"name": metric_name(name)[0], "about": metric_name(name)[1], "cells": [cell(e, name) for e in evaluations]}
        for name in names
    ]


def cell(evaluation: Evaluation, metric: str) -> dict[str, str]:
    value, interval = evaluation.metrics.get(metric), evaluation.intervals.get(metric)
    return {
        "value": "-" if value is None else number(value),
        "interval": "" if interval is None else f"{number(interval[0])} to {number(interval[1])}",
    }


def shown(table: Table) -> dict[str, Any]:
    """Return a table's texts; one of many labels is sorted, the worst F1 first."""
    rows = list(table.rows)
    if "f1" in table.columns and len(rows) > TABLE_OF_AT_MOST:
        rows.sort(key=lambda row: float(row[table.columns.index("f1")]))
    columns = [name.replace("_", " ") for name in table.columns]
    return {"columns": columns, "rows": [[short(value) for value in row] for row in rows]}


def short(value: str | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def confusion_rows(evaluation: Evaluation) -> list[dict[str, Any]] | None:
    """Return a row per true label: its name, and (count, share of the row in per cent) per prediction."""
    if evaluation.confusion is None:
        return None
    shares = evaluation.confusion / np.maximum(evaluation.confusion.sum(axis=1, keepdims=True), 1)
    return [
        {"label": label, "cells": list(zip(counts.tolist(), (100 * share).round().astype(int).tolist(), strict=True))}
        for label, counts, share in zip(evaluation.labels, evaluation.confusion, shares, strict=True)
    ]


def confused_pairs(evaluation: Evaluation) -> list[tuple[str, str, int, str]]:
    """Return (true label, prediction, texts, share of the true label) of the most frequent confusions."""
    if evaluation.confusion is None or len(evaluation.labels) < 3:
        return []
    wrong = evaluation.confusion * (1 - np.eye(len(evaluation.labels), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS_SHOWN]
    rows, columns = np.unravel_index(order, wrong.shape)
    totals = evaluation.confusion.sum(axis=1)
    return [
        (
            evaluation.labels[row],
            evaluation.labels[column],
            int(wrong[row, column]),
            f"{wrong[row, column] / totals[row]:.1%}",
        )
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if wrong[row, column]
    ]


def mistake(row: Row) -> dict[str, Any]:
    """Return one mistake as the template shows it: entities twice, as they are and as predicted, or one text."""
    if "errors" in row:
        wrong = row["errors"]
        assert isinstance(wrong, dict)
        both = [
            (name, segments(str(row["text"]), row[key])) for name, key in (("truth", "truth"), ("model", "prediction"))
        ]
        return {
            "readings": both,
            "note": ", ".join(f"{count} {name}" for name, count in wrong.items()),
            "group": " and ".join(sorted(wrong)),
        }
    scores = row.get("scores")
    sure = (
        f" ({scores[row['prediction']]:.2f})" if isinstance(scores, dict) and isinstance(row["prediction"], str) else ""
    )
    text = str(row["text"]) + (f" ⟂ {row['text_pair']}" if "text_pair" in row else "")
    asked = [row | {"entity": "?"}] if "start" in row else []  # the place in the text that it is about
    return {
        "pieces": segments(text, asked),
        "truth": listed(row["truth"]),
        "prediction": listed(row["prediction"]) + sure,
        "loss": row["loss"],
        "group": group_of(row),
    }


def group_of(row: Row) -> str:
    """Return what a mistake is one of: the labels that are confused, where there is one of each."""
    truth, guess = row["truth"], row["prediction"]
    if isinstance(truth, str) and isinstance(guess, str) and isinstance(row.get("scores"), dict):
        return f"{truth} taken for {guess}"
    if isinstance(truth, list) and isinstance(guess, list) and all(isinstance(each, str) for each in (*truth, *guess)):
        missed, added = ([each for each in one if each not in other] for one, other in ((truth, guess), (guess, truth)))
        return "; ".join([*(f"{each} missed" for each in missed), *(f"{each} added" for each in added)]) or "all"
    return "all"


def listed(value: object) -> str:
    """Return one label, several, or none as a text."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def segments(text: str, entities: object) -> list[tuple[str, str | None]]:
    """Cut a text into (piece, entity type or None); `entities` ascend and do not overlap."""
    assert isinstance(entities, list)
    pieces: list[tuple[str, str | None]] = []
    done = 0
    for entity in entities:
        pieces += [(text[done : entity["start"]], None), (text[entity["start"] : entity["end"]], entity["entity"])]
        done = entity["end"]
    return [piece for piece in [*pieces, (text[done:], None)] if piece[0]]


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value) of a dumped recipe, what is not set left out."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif value not in (None, "", [], ()):
            items = value if isinstance(value, list | tuple) else [value]
            yield prefix + key, ", ".join(without_paths(plain(item)) for item in items)


def plain(value: object) -> str:
    """Return a value of a recipe as a person writes it: 5, not 5.0."""
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def without_paths(text: str) -> str:
    """Return a text or command with each path of this machine in it cut down to its last part."""
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    places = [word.rpartition("=")[2] for word in words]
    for place in sorted(filter(is_of_machine, places), key=len, reverse=True):
        text = text.replace(place, Path(place).name or "/")
    return text


def is_of_machine(word: str) -> bool:
    return len(word) > 1 and word.startswith(("/", "~", "./", "../"))
