"""Runs every check on the splits of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.checking.duplicates import duplicates
from training.checking.encoding import encoding_trouble
from training.checking.findings import Finding, Severity
from training.checking.labels import class_balance, rare_labels, too_few_labels, unknown_labels
from training.checking.lengths import token_lengths
from training.checking.reading import read_parts
from training.checking.rows import refused_rows, texts_without_words, tolerated_tags
from training.checking.setting_aside import too_few_to_set_aside
from training.checking.shapes import file_notes, no_empty_lines, rows_in_cells, torn_spans
from training.checking.spellings import oddities
from training.config import Recipe
from training.data import Part

ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


def check(recipe: Recipe, data_dir: Path) -> list[Finding]:
    """Return what is wrong with the splits that the recipe names, errors first, then warnings, then notes.

    Reads every row, whatever is wrong with others. Raises `RecipeError` when no training split is named.
    """
    return check_parts(read_parts(recipe, data_dir), recipe, data_dir)


def check_parts(parts: Sequence[Part], recipe: Recipe, data_dir: Path) -> list[Finding]:
    """Return what is wrong with splits that were read."""
    checks = (
        refused_rows,
        too_few_labels,
        unknown_labels,
        tolerated_tags,
        duplicates,
        encoding_trouble,
        texts_without_words,
        oddities,
        no_empty_lines,
        torn_spans,
        rows_in_cells,
        rare_labels,
        class_balance,
        file_notes,
    )
    findings = [finding for each in checks for finding in each(parts)] + token_lengths(parts, recipe)
    findings += too_few_to_set_aside(parts, recipe)
    findings.append(sizes(parts))
    return sorted((relative(each, data_dir) for each in findings), key=lambda finding: ORDER[finding.severity])


def sizes(parts: Sequence[Part]) -> Finding:
    summary = ", ".join(f"{part.split} {len(part.items):,}" for part in parts)
    return Finding("note", "size", "all", sum(len(part.items) for part in parts), f"examples: {summary}")


def relative(finding: Finding, data_dir: Path) -> Finding:
    """Name files as the recipe does, without the folder that they lie in."""
    return replace(finding, examples=tuple(each.replace(f"{data_dir}/", "") for each in finding.examples))
