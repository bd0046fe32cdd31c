"""Writes splits anew without what can only be left out; nothing is decided that a person must decide.

What is left out is not lost: it is written beside the splits, each with the reason.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.bundle import replace_file
from training.checking.pieces import Piece, Written, as_json, pieces_of, plain, where_of, written
from training.checking.reading import read_parts
from training.config import DataConfig, Recipe, RecipeError
from training.data import HubSplit, Item, Part, Source, normal, source_of
from training.data.formats import Row, format_of

Key = tuple[str, tuple[str, ...]]  # a text and its answer
LEFT_OUT = "left-out.jsonl"
COPY, SHARED = "an earlier row has it", "a later split has it"
OF_A_FILE = {"train", "validation", "test", "dataset", "subset"}


@dataclass
class Mended:
    """One split that was written: its file, the pieces that it has, and what was left out, with the reasons."""

    split: str
    file: Path
    kept: int
    format: str
    was: str
    left_out: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        """Say it in one line."""
        counts = {COPY: "that an earlier row has", SHARED: "that a later split has"}
        by_reason = {said: sum(each["reason"] == reason for each in self.left_out) for reason, said in counts.items()}
        by_reason = {"that training refuses": len(self.left_out) - sum(by_reason.values())} | by_reason
        left = ", ".join(f"{count:,} {reason}" for reason, count in by_reason.items() if count)
        change = "" if self.was == self.format else f" (was {self.was}, is {self.format})"
        kept_in = f"; they are in {LEFT_OUT}" if left else ""
        return f"{self.file}: {self.kept:,} rows{change}; left out: {left or 'none'}{kept_in}"


def mend(recipe: Recipe, data_dir: Path, folder: Path) -> list[Mended]:
    """Write each split of the recipe into `folder`, in its format where that can be written, else as JSON lines.

    Left out, and written to left-out.jsonl, are rows that training refuses, copies with the same answer within a split,
    and texts that a later split has too, in the order train, validation, test. Rows that training passes over stay.
    Raises `RecipeError` where the folder is not empty, and `DataError` for a file that cannot be read as a whole.
    """
    if folder.exists() and any(folder.iterdir()):
        raise RecipeError(f"{folder} is not empty; name another folder with --fix")
    parts = read_parts(recipe, data_dir)
    made = []
    for number, part in enumerate(parts):
        source = source_of(recipe.data, data_dir, part.split)
        assert source is not None
        refuse_whole(part, source)
        mended = Mending(part, source, recipe, texts_of(parts[number + 1 :]))
        made.append((mended, written(mended.kept, source, recipe.data)))
    folder.mkdir(parents=True, exist_ok=True)
    found = [write(mended, text, folder, recipe) for mended, text in made]
    if left := [{"split": each.split} | row for each in found for row in each.left_out]:
        replace_file(folder / LEFT_OUT, "".join(as_json(row) + "\n" for row in left))
    return found


def refuse_whole(part: Part, source: Source) -> None:
    """Raise the `DataError` of a file that could not be read at all."""
    for error in part.refused:
        if where_of(error, source) is None:
            raise error


def texts_of(parts: Iterable[Part]) -> set[str]:
    return {normal(item.words) for part in parts for item in part.items}


class Mending:
    """One split: the pieces that are kept, and what is left out."""

    def __init__(self, part: Part, source: Source, recipe: Recipe, later: set[str]) -> None:
        self.part, self.source, self.data, self.later = part, source, recipe.data, later
        self.kept: list[Piece] = []
        self.left_out: list[dict[str, Any]] = []
        self._seen: set[Key] = set()
        self._items: dict[str, list[Item]] = {}
        for item in part.items:
            self._items.setdefault(item.where, []).append(item)
        pieces = pieces_of(source, recipe.data, part)
        places = {place for piece in pieces for place in piece.places}
        self._refused: dict[str, str] = {}
        for error in part.refused:
            self._refused.setdefault(where_of(error, source, places) or "", str(error))
        for piece in pieces:
            self._sort(piece)
        self._lost_lines()

    def _sort(self, piece: Piece) -> None:
        """Keep a piece, or leave it out; of one with several texts, keep those that stay."""
        refused = next((self._refused.pop(place) for place in piece.places if place in self._refused), None)
        for place in piece.places:
            self._refused.pop(place, None)
        items = [item for place in piece.places for item in self._items.get(place, ())]
        if refused is not None and not piece.texts:
            self._leave_out(piece, refused)
            return
        reasons = [self._reason_against(item) for item in items]
        stay = [item for item, reason in zip(items, reasons, strict=True) if reason is None]
        if refused is None and (not items or len(stay) == len(items)):
            self.kept.append(piece)
        elif piece.texts and stay:
            self.kept.append(plain(piece, stay, self.data))
            self._leave_out(piece, refused or next(filter(None, reasons)))
        elif stay:  # examples of one row, of which others are copies
            self.kept.append(piece)
        else:
            self._leave_out(piece, refused or next(filter(None, reasons)))

    def _reason_against(self, item: Item) -> str | None:
        key = normal(item.words), item.answer
        if key[0] in self.later:
            return SHARED
        if key in self._seen:
            return COPY
        self._seen.add(key)
        return None

    def _leave_out(self, piece: Piece, reason: str) -> None:
        content: Any = piece.content
        if not isinstance(content, str):
            values = [row.values for row in content if isinstance(row, Row)]
            content = values[0] if len(values) == 1 else values
        self.left_out.append({"where": piece.places[0], "reason": reason, "content": content})

    def _lost_lines(self) -> None:
        """Leave out what is no row at all, such as a line that is not JSON."""
        found = texts_at(self._refused, self.source, self.data)
        for where, reason in self._refused.items():
            self.left_out.append({"where": where, "reason": reason, "content": found.get(where)})


def texts_at(places: Iterable[str], source: Source, data: DataConfig) -> dict[str, str]:
    """Return what stands at places such as FILE:LINE of a file, as far as that can be told."""
    after = {number: where for where in places if (number := where.removeprefix(f"{source}:")).isdecimal()}
    if isinstance(source, HubSplit) or not after:
        return {}
    found = format_of(source, data).texts_at(source, data, set(map(int, after)))
    return {after[str(number)]: text for number, text in found.items()}


def write(mended: Mending, file: Written, folder: Path, recipe: Recipe) -> Mended:
    path = folder / f"{mended.part.split}{file.suffix}"
    path.write_text(file.text, encoding=recipe.data.encoding or "utf-8", newline="")
    was = "a data set of the Hub" if isinstance(mended.source, HubSplit) else format_of(mended.source, recipe.data).name
    return Mended(mended.part.split, path, len(mended.kept), file.format, was, mended.left_out)


def check_again(recipe: Recipe, mended: Sequence[Mended], folder: Path) -> str:
    """Return the command that checks what was written, read as the recipe says."""
    splits = [word for each in mended for word in (f"--{each.split}", each.file.name)]
    words = [
        "roberta-train",
        "check",
        "--task",
        recipe.task,
        *splits,
        "--data",
        str(folder),
        *settings_of(recipe, mended[0].format),
    ]
    return shlex.join(words)


def settings_of(recipe: Recipe, written: str) -> Iterator[str]:
    """Yield the flags of what the recipe says of the data, the files themselves aside."""
    said = recipe.data.model_dump(mode="json", exclude_defaults=True, exclude=OF_A_FILE)
    for key, value in (said | ({"format": written} if "format" in said else {})).items():
        shown = value if isinstance(value, str) else as_json(value)
        yield from ("--set", f"data.{key}={shown}")
    if recipe.problem_type is not None:
        yield from ("--set", f"problem_type={recipe.problem_type}")
