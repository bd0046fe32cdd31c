"""`roberta-serve list`: what the models folder has, without opening or hashing it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.bundle import MANIFEST, Bundle, BundleError, Manifest
from app.bundle.defaults import DefaultsError, read_defaults
from app.bundle.files import first_problem, read_file
from app.bundle.reading import MOST_BYTES
from app.command_line.output import as_json
from app.commands.models_folder import in_words, models_of, size_of
from app.commands.parsing import complain
from app.serving.places import Place, Places
from app.serving.sources import read_hub_folder
from app.tasks import MODEL_TASKS, TASKS, routes_behind, tasks_of

COLUMNS = ("name", "version", "task", "precision", "size", "source", "default")


def run(options: Namespace) -> None:
    models = models_of(options.models)
    found = Places(models).read()
    if found.away is not None:
        raise SystemExit(f"roberta-serve: {models}: {found.away}; name another with --models")
    rows = with_defaults([row for place in found.by_name.values() for row in rows_of(place)], models)
    if options.json:
        sys.stdout.write(as_json(rows, 2) + "\n")
    else:
        sys.stdout.write(table(rows))
    for problem in found.problems:
        complain(problem)


def rows_of(place: Place) -> Iterator[dict[str, Any]]:
    """Yield a row for each version of a name, the highest first; of one that is not understood, why."""
    for version, folder in place.folders.items():
        row: dict[str, Any] = {"name": place.name, "version": version}
        try:
            if place.problem is not None:
                raise BundleError(place.problem)
            manifest = place.label(glance(place, version, folder)).manifest
        except BundleError as error:
            yield row | {"problem": str(error)}
            continue
        yield row | {
            "task": manifest.task,
            "routes": [f"/{task.route}" for task in tasks_of(manifest)] if manifest.task in MODEL_TASKS else [],
            "precision": [*manifest.graphs],
            "size": size_of(folder),
            "source": manifest.provenance.get("source"),
        }


def glance(place: Place, version: int, folder: Path) -> Bundle:
    """Read what a folder says of itself. Raises `BundleError`."""
    if not (folder / MANIFEST).is_file():
        return read_hub_folder(folder, name=place.name, version=version)
    try:
        return Bundle(folder, Manifest.model_validate_json(read_file(folder / MANIFEST, MOST_BYTES)), {})
    except ValidationError as error:
        raise BundleError(f"{MANIFEST} is not valid at {first_problem(error)}") from error
    except OSError as error:
        raise BundleError(f"{MANIFEST} cannot be read: {error.strerror}") from error


def with_defaults(rows: list[dict[str, Any]], models: Path) -> list[dict[str, Any]]:
    """Add the routes that a model answers when a request names none, parted by spaces."""
    try:
        configured = read_defaults(models)
    except DefaultsError as error:
        complain(str(error))
        return rows
    for route in (task.route for task in TASKS.values()):
        able = [row for row in rows if f"/{route}" in row.get("routes", ())]
        for row in defaults_among(able, route, configured)[:1]:
            row["default"] = f"{row.get('default', '')} /{route}".lstrip()
    return rows


def defaults_among(able: list[dict[str, Any]], route: str, configured: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return those that are named to answer a route, or else the task behind it; all where none of them is named, those
    of the first task behind it first."""
    behind = routes_behind(route)
    for other in (route, *behind):
        named = [row for row in able if other in configured and is_named(row, configured[other])]
        if named or (other == route and other in configured):
            return named
    return sorted(able, key=lambda row: [f"/{each}" for each in behind or [route]].index(row["routes"][0]))


def is_named(row: dict[str, Any], spec: str) -> bool:
    name, _, version = spec.partition(":")
    return row["name"] == name and version in ("", str(row["version"]))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows in columns; what is wrong with one stands in place of its task."""
    lines = [COLUMNS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines if len(line) > column) for column in range(len(COLUMNS))]
    shown = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in shown)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row's cells."""
    name = (row["name"], str(row["version"]))
    if "problem" in row:
        return (*name, "-", "-", "-", "-", f"refused: {row['problem']}")
    size = in_words(row["size"])
    return (*name, row["task"], "+".join(row["precision"]), size, short(row["source"]), row.get("default", ""))


def short(source: Any) -> str:
    """Return where a model comes from in a word: its repository and commit, or what else is known."""
    if not isinstance(source, dict):
        return "-"
    if "repository" in source:
        return f"{source['repository']}@{source.get('commit', '')[:7]}"
    return str(source.get("bundle") or source.get("folder") or "-")
