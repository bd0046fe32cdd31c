"""`roberta-serve remove NAME[:VERSION]`: take a model, or one version of it, out of the models folder."""

from __future__ import annotations

import os
import shutil
import sys
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from app.bundle.defaults import DefaultsError, read_defaults
from app.command_line.near import did_you_mean
from app.commands.models_folder import in_words, models_of, size_of
from app.commands.parsing import complain
from app.serving.places import Place, Places


class RemovalError(Exception):
    """Nothing was removed. The message is one sentence for a person."""


def run(options: Namespace) -> None:
    models = models_of(options.models)
    try:
        path = path_of(options.model, models)
        size = remove(path)
    except RemovalError as error:
        raise SystemExit(f"roberta-serve: {error}") from None
    except OSError as error:
        raise SystemExit(f"roberta-serve: {options.model} cannot be removed: {error.strerror}") from None
    sys.stdout.write(f"removed {path}, {in_words(size)}\n")
    warn_of_defaults(options.model, models)


def path_of(model: str, models: Path) -> Path:
    """Return the folder under `models` that is to go. Raises `RemovalError` where there is none."""
    name, _, version = model.partition(":")
    found = Places(models).read()
    if found.away is not None:
        raise RemovalError(f"{models}: {found.away}; name another with --models")
    place = found.by_name.get(name)
    if place is None:
        there = ", ".join(sorted(found.by_name)) or "none"
        near = did_you_mean(name, found.by_name, f"there are: {there}")
        raise RemovalError(f"there is no model {name[:80]!r} in {models}{near}")
    return version_of(place, version, models) if version else top_of(place, models)


def top_of(place: Place, models: Path) -> Path:
    """Return the folder directly under `models` that has all versions."""
    folder = next(iter(place.folders.values()))
    return models / folder.relative_to(models).parts[0]


def version_of(place: Place, version: str, models: Path) -> Path:
    """Return the folder of one version; that of a model without versions is version 1."""
    for number, folder in place.folders.items():
        if str(number) == version:
            return folder if len(folder.relative_to(models).parts) == 2 else top_of(place, models)
    there = ", ".join(map(str, place.folders))
    raise RemovalError(f"{place.name} has no version {version[:20]!r}; there are: {there}")


def remove(path: Path) -> int:
    """Remove a folder in one step as a reader sees it, and return its size in bytes. Raises `OSError`."""
    if path.is_symlink():
        path.unlink()
        return 0
    size = size_of(path)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.removed")
    path.rename(hidden)
    shutil.rmtree(hidden)
    with suppress(OSError):  # other versions are there
        if path.name.isdecimal():
            path.parent.rmdir()
    return size


def warn_of_defaults(model: str, models: Path) -> None:
    """Say which routes have a default that is not there any more."""
    with suppress(DefaultsError):
        for route, spec in read_defaults(models).items():
            if spec == model or (":" not in model and spec.partition(":")[0] == model):
                complain(f"defaults.json still names {spec} as the default of /{route}; name another model there")
