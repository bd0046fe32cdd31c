"""What can be said of the models before anything starts: a folder that is not there, a default that names nothing."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from app.bundle.contents import is_itself_model
from app.bundle.reading import versions
from app.command_line.near import did_you_mean, nearest_path
from app.serving.places import Places
from app.settings import Settings


class ModelsError(Exception):
    """The settings name models that cannot be served. The message is one sentence that says what to do."""


def check_models(settings: Settings) -> None:
    """Raise `ModelsError` where the service would serve nothing that was meant.

    Where the folder is followed (`reload_interval_s`), what is missing may come later, and nothing is refused.
    """
    if settings.reload_interval_s:
        return
    if not settings.model or "models" in settings.model_fields_set:
        try:
            check_folder(settings.models)
        except OSError as error:
            raise ModelsError(
                f"{settings.models}: {error.strerror}; give a folder that can be read with --models"
            ) from None
    if not settings.model:  # what is named by --model is not known before it is fetched
        check_defaults(settings)


def check_folder(folder: Path) -> None:
    if not folder.exists():
        near = nearest_path(folder)
        hint = "; name another with --models, or serve a model of the Hub with --model ORG/NAME"
        raise ModelsError(f"there is no folder {folder}{hint if near is None else f'; did you mean --models {near}?'}")
    if not folder.is_dir():
        raise ModelsError(f"{folder} is a file; give the folder of models with --models")
    if is_itself_model(folder):
        raise ModelsError(f"{folder} is itself a model, not a folder of models; give {way_to(folder)}")
    whole = folder.absolute()
    newest = next((version for version in versions(whole.parent, whole.name)), None)
    if newest is not None and is_itself_model(folder / str(newest)):
        raise ModelsError(f"{folder} has the versions of one model; give {way_to(folder / str(newest))}")


def way_to(folder: Path) -> str:
    """Return the flag that serves a bundle that was given as the models folder."""
    models = folder.absolute().parent.parent
    if folder.name.isdecimal() and models != models.parent:
        return f"--models {folder.parent.parent}, or --model {folder.parent.name or 'NAME'}={folder}"
    return f"--model NAME={folder}"


def check_defaults(settings: Settings) -> None:
    """Raise `ModelsError` where the settings have a route answered by a model that is not there."""
    if not settings.default_models:
        return
    found = Places(settings.models).read()
    if found.away is not None:
        return
    for route, spec in settings.default_models.items():
        name, _, version = spec.partition(":")
        if name not in found.by_name:
            there = f"give one that there is in {settings.models}: {', '.join(sorted(found.by_name)) or 'none'}"
            hint = did_you_mean(name, found.by_name, there)
            raise ModelsError(f"default_models: /{route} is to be answered by {name!r}, which is not there{hint}")
        check_version(route, name, version, found.by_name[name].folders)


def check_version(route: str, name: str, version: str, there: Collection[int]) -> None:
    if version and version not in map(str, there):
        known = ", ".join(map(str, there))
        raise ModelsError(
            f"default_models: /{route} is to be answered by {name}:{version}; give a version that {name} has: {known}"
        )
