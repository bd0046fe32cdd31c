"""What was found about the files, and rows whose shape says that the file was not meant so."""

from __future__ import annotations

from collections.abc import Sequence

from training.checking.findings import Finding, first, shortened
from training.data import Item, Part

LONG_SENTENCE = 200  # words, from which on a sentence may be a file without empty lines
ROWS_IN_CELL = 3  # lines of one cell that end with a label, from which on they may be rows


def file_notes(parts: Sequence[Part]) -> list[Finding]:
    """Say what was found about each file that its suffix does not say."""
    remedy = "Set data.format, data.delimiter or data.encoding if it is not so."
    return [Finding("note", "file", part.split, 1, part.found, (), remedy) for part in parts if part.found]


def no_empty_lines(parts: Sequence[Part]) -> list[Finding]:
    """Find splits of words with tags that are one long sentence."""
    found = []
    for part in parts:
        longest = [item for item in part.items if item.word_count > LONG_SENTENCE]
        if longest and len(longest) == len(part.items):
            places = first([f"{item.where}  {item.word_count:,} words" for item in longest])
            summary, remedy = "no empty lines between sentences", "Write an empty line after each sentence."
            found.append(Finding("warning", "long sentence", part.split, len(longest), summary, places, remedy))
    return found


def torn_spans(parts: Sequence[Part]) -> list[Finding]:
    """Find marked spans that begin or end within a word."""
    found = []
    for part in parts:
        if places := [f"{item.where}  {doubt}" for item in part.items for doubt in item.doubts]:
            summary = "spans that begin or end within a word"
            remedy = "Correct their offsets if they count bytes or UTF-16 units, not characters."
            found.append(Finding("warning", "torn span", part.split, len(places), summary, first(places), remedy))
    return found


def rows_in_cells(parts: Sequence[Part]) -> list[Finding]:
    """Find texts of several lines that end with labels, as rows do that a quotation mark made one cell of."""
    found = []
    for part in parts:
        labels = {label for item in part.items for label in item.labels}
        swallowed = [item for item in part.items if "\n" in item.text and ends_with_labels(item, labels)]
        if swallowed:
            places = first([f"{item.where}  {shortened(item.text)!r}" for item in swallowed])
            summary = "texts that hold what look like further rows"
            remedy = "Close the quotation mark that begins such a text, or double those within it."
            found.append(Finding("warning", "lost rows", part.split, len(swallowed), summary, places, remedy))
    return found


def ends_with_labels(item: Item, labels: set[str]) -> bool:
    ends = [line.rstrip('"').replace(";", ",").replace("\t", ",").rpartition(",")[2] for line in item.text.splitlines()]
    return sum(end.strip(' "') in labels for end in ends if end) >= min(ROWS_IN_CELL, max(1, len(ends) - 1))
