"""Opening a model for many inputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bulk.asking import Asking
from app.bulk.predicting import Predictor
from app.bundle import MANIFEST, Bundle, BundleError, read_json
from app.bundle.naming import slug
from app.runtime.session import Device, SessionError, open_session
from app.serving.local_engine import choose_device
from app.serving.places import Place, Places, place_of
from app.serving.proving import prove
from app.serving.sources import read_folder
from app.settings import Settings

# Tokens in a batch. Not found by timing: the same batches in every run make the same answers, to the last bit.
BATCH_TOKENS: dict[Device, int] = {"cpu": 512, "cuda": 16_384}


def open_predictor(
    bundle: Bundle, settings: Settings, options: Mapping[str, Any] | None = None, *, is_strict: bool = False
) -> Predictor:
    """Open a bundle, check it, and return what answers inputs by it; `options` are its task's, as in a request's body.

    Raises `BundleError` where the model cannot be used, `SessionError` for a device that is not there,
    `InvalidRequestError` for an option that the task does not take.
    """
    device = choose_device(settings)
    many = settings.model_copy(update={"idle_threads": 1, "cuda_graphs": False})  # what helps small batches alone
    try:
        session = open_session(bundle, device, many)
    except SessionError as error:
        raise BundleError(str(error)) from error
    task = prove(bundle, session, None, settings.max_batch_tokens or BATCH_TOKENS[device])
    return Predictor(
        task,
        session,
        Asking(task, options or {}),
        settings.runners_on(device),
        most_characters=settings.max_characters,
        is_strict=is_strict,
    )


def find_bundle(model: str, models: Path) -> Bundle:
    """Read a model: `name` or `name:version` of the models folder, or the folder of a bundle or of a Hub model.

    Of several versions the highest that can be read is taken. Raises `BundleError`.
    """
    name, _, version = model.partition(":")
    place = None if os.sep in model else Places(models).read().by_name.get(name)
    if place is not None:
        return read_place(place, version)
    if Path(model).is_dir():
        return read_place(place_at(Path(model).resolve()), "")
    raise BundleError(f"there is no model {model!r} under {models}/, nor a folder of that name")


def place_at(folder: Path) -> Place:
    """Return the place of one version of a bundle, of all versions of one, or of a Hub model."""
    if not (folder / MANIFEST).is_file():
        return place_of(folder, slug(folder.name))
    manifest = read_json(folder / MANIFEST)
    name, version = manifest.get("name"), manifest.get("version")
    return Place(str(name), {version if isinstance(version, int) else 0: folder})


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
