"""From where a model was fetched to into the models folder, as the next version of its name, whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from app.bundle import MANIFEST, Bundle, BundleError, Manifest, new_version, read_json, write_manifest
from app.hub.choosing import choose
from app.hub.devices import Device
from app.hub.errors import HubError
from app.serving.places import SOURCE, Place, Places
from app.serving.sources import read_folder


def pull(place: Place, models: Path, device: Device) -> tuple[Bundle, bool]:
    """Put a model into the models folder. Returns it as it is there, and whether it was put there now.

    Raises `HubError` where its name is taken by what has no versions, or cannot be written.
    """
    version, folder = next(iter(place.folders.items()))
    try:
        if (there := same_in(place, version, models)) is not None:
            return there, False
        with new_version(models, place.name) as (partial, number):
            copy(place, version, folder, partial, device, number)
            read_folder(partial, name=place.name, version=number)
        return read_folder(models / place.name / str(number), name=place.name, version=number), True
    except BundleError as error:
        raise HubError(f"{place.name} cannot be served: {error}") from error
    except OSError as error:
        raise HubError(
            f"{models} cannot be written to: {error.strerror}; make room, or name another --models"
        ) from error


def same_in(place: Place, version: int, models: Path) -> Bundle | None:
    """Return the version in the models folder that is the same model; None where there is none.

    Raises `HubError` where the name is taken by a folder to which no version can be added.
    """
    taken = Places(models).read().by_name.get(place.name)
    for number, folder in taken.folders.items() if taken is not None else ():
        if folder.parent != models / place.name:
            raise HubError(f"{folder} is there and has no versions; remove it, or pull under another name: NAME=...")
        try:
            there = read_folder(folder, name=place.name, version=number)
        except BundleError:
            continue
        said = Place(place.name, {}).label(there).manifest.provenance.get("source")
        if said == source_of(place, version):
            return there
    return None


def source_of(place: Place, version: int) -> dict[str, str]:
    """Return what is kept of where a model comes from; of a bundle that was given as a folder, its own name."""
    if place.source is not None:
        return {key: value for key, value in place.source.items() if key != "revision"}
    manifest = place.folders[version] / MANIFEST
    own = f"{place.own_name or place.name}:{version}"
    return {"bundle": own} if manifest.is_file() else {"folder": place.folders[version].name}


def copy(place: Place, version: int, folder: Path, partial: Path, device: Device, number: int) -> None:
    """Copy what is served, links followed; say where it comes from."""
    source = source_of(place, version)
    if (folder / MANIFEST).is_file():
        bundle = read_folder(folder, name=place.own_name or place.name, version=own_version(folder))
        copy_files(folder, partial, [*bundle.manifest.files])
        provenance = {**bundle.manifest.provenance, "source": source}
        changes = {"name": place.name, "version": number, "provenance": provenance}
        write_manifest(partial, Manifest.model_validate(bundle.manifest.model_dump() | changes))
        return
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    copy_files(folder, partial, choose(names, prefers_export=False, device=device, what=place.name).files)
    (partial / SOURCE).write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")


def own_version(folder: Path) -> int:
    return int(read_json(folder / MANIFEST)["version"])


def copy_files(folder: Path, target: Path, names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name)
