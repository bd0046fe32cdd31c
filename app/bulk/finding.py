"""Finding a model by what a person calls it: in the models folder, by its own folder, or on the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from app.bundle import MANIFEST, Bundle, BundleError, read_json, versions
from app.hub.errors import HubError
from app.hub.named import hear
from app.hub.naming import parse_spec
from app.hub.process import Fetch
from app.serving.places import Place, Places
from app.serving.sources import read_folder
from app.settings import Settings


def find_bundle(model: str, settings: Settings) -> Bundle:
    """Read a model: `name` or `name:version` of the models folder, else a folder, or ORG/NAME of the Hub.

    Of several versions the highest that can be read is taken. A model of the Hub is fetched, and exported where that is
    needed. Raises `BundleError`.
    """
    return bundle_here(model, settings) or read_place(fetched(model, settings.device), "")


def bundle_here(model: str, settings: Settings) -> Bundle | None:
    """Read a model that is there; None where it is to be fetched or exported. Raises `BundleError`."""
    name, _, version = model.partition(":")
    place = None if os.sep in model else Places(settings.models).read().by_name.get(name)
    if place is not None:
        return read_place(place, version)
    if os.sep not in model and not Path(model).is_dir():
        raise BundleError(f"there is no model {model!r} under {settings.models}/; name one, a folder, or ORG/NAME")
    place = place_at(Path(model).resolve())
    return None if place is None else read_place(place, "")


def place_at(folder: Path) -> Place | None:
    """Return the place of a bundle, or of the versions of one; None where something else is there."""
    if (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST)
        name, version = manifest.get("name"), manifest.get("version")
        return Place(str(name), {version if isinstance(version, int) else 0: folder})
    if numbers := versions(folder.parent, folder.name):
        return Place(folder.name, {number: folder / str(number) for number in numbers})
    return None


def fetched(model: str, device: str) -> Place:
    """Return the place of a model of the Hub, or of a folder without a manifest, fetched and exported."""
    check_name(model)
    prepared = Fetch([model], device).run(hear)
    if prepared.refused:
        raise BundleError("; ".join(prepared.refused.values()))
    return prepared.places[0]


def check_name(model: str) -> None:
    """Raise `BundleError` for what is neither a folder nor the name of a repository."""
    try:
        parse_spec(model)
    except HubError as error:
        raise BundleError(str(error)) from error


def read_place(place: Place, version: str) -> Bundle:
    """Read the version that is named, or the highest that can be read."""
    if place.problem:
        raise BundleError(place.problem)
    chosen = {number: folder for number, folder in place.folders.items() if version in ("", str(number))}
    if not chosen:
        raise BundleError(f"{place.name} has no version {version}; it has {', '.join(map(str, place.folders))}")
    problems = []
    for number, folder in chosen.items():
        try:
            return place.label(read_folder(folder, name=place.own_name or place.name, version=number))
        except BundleError as error:
            problems.append(f"{place.name}:{number}: {error}")
    raise BundleError(problems[0])
