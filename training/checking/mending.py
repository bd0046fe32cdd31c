"""Writes splits anew without the rows that can only be left out; nothing is decided that a person must decide."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.bundle import replace_file
from training.checking.reading import read_parts
from training.config import DataConfig, Recipe, RecipeError
from training.data import Item, Part, normal, source_of
from training.data.errors import DataError
from training.data.formats import Row
from training.data.tables import rows as rows_in

Key = tuple[str, tuple[str, ...]]  # a text and its answer


@dataclass(frozen=True)
class Mended:
    """One split that was written: its file, the rows that it has, and how many were left out for which reason."""

    split: str
    file: Path
    rows: int
    refused: int
    copies: int
    shared: int

    def __str__(self) -> str:
        """Say it in one line."""
        reasons = {
            "that training refuses": self.refused,
            "that an earlier row has": self.copies,
            "that a later split has": self.shared,
        }
        left = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        return f"{self.file}: {self.rows:,} rows; left out: {left or 'none'}"


def mend(recipe: Recipe, data_dir: Path, folder: Path) -> list[Mended]:
    """Write each split of the recipe into `folder`, CSV as CSV, other tables as JSON lines.

    Left out are rows that training refuses, copies with the same answer within a split, and texts that a later split
    has too, in the order train, validation, test. Raises `RecipeError` where the folder is not empty, and `DataError`
    where a file is no table of a row for each example.
    """
    if folder.exists() and any(folder.iterdir()):
        raise RecipeError(f"{folder} is not empty; name another folder with --fix")
    parts = read_parts(recipe, data_dir)
    rows = {part.split: rows_of(part, recipe.data, data_dir) for part in parts}
    folder.mkdir(parents=True, exist_ok=True)
    return [write(part, rows[part.split], texts_of(parts[number + 1 :]), folder) for number, part in enumerate(parts)]


def rows_of(part: Part, data: DataConfig, data_dir: Path) -> list[Row]:
    source = source_of(data, data_dir, part.split)
    rows = [] if source is None else list(rows_in(source, data, lambda error: None))
    if not {item.where for item in part.items} <= {row.where for row in rows}:
        raise DataError(
            f"{source}: --fix writes tables with a row for each example; mend other files where they come from"
        )
    return rows


def texts_of(parts: Iterable[Part]) -> set[str]:
    return {normal(item.words) for part in parts for item in part.items}


def write(part: Part, rows: Sequence[Row], later: set[str], folder: Path) -> Mended:
    """Write what is kept of one split."""
    items = {item.where: item for item in part.items}
    kept: list[Row] = []
    seen: set[Key] = set()
    copies = shared = 0
    for row in rows:
        if (item := items.get(row.where)) is None:
            continue
        if normal(item.words) in later:
            shared += 1
        elif (key := key_of(item)) in seen:
            copies += 1
        else:
            seen.add(key)
            kept.append(row)
    file = write_rows(kept, part, folder)
    return Mended(part.split, file, len(kept), len(part.refused), copies, shared)


def key_of(item: Item) -> Key:
    return normal(item.words), item.answer


def write_rows(rows: Sequence[Row], part: Part, folder: Path) -> Path:
    """Write rows as CSV where all cells are texts, else as JSON lines."""
    if all(isinstance(cell, str) for row in rows for cell in row.values.values()):
        file = folder / f"{part.split}.csv"
        names = list(dict.fromkeys(name for row in rows for name in row.values))
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.values for row in rows)
        return file
    file = folder / f"{part.split}.jsonl"
    replace_file(file, "".join(json.dumps(row.values, ensure_ascii=False) + "\n" for row in rows))
    return file
