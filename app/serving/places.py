"""Where models lie: in the models folder, and where the models that were named at the start have been fetched to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from app.bundle import Bundle, BundleError, replace_file, version_folders
from app.bundle.files import read_json
from app.bundle.hub_cache import is_cached_repository, repository_of, snapshot_in
from app.bundle.naming import NAME_RULE, slug
from app.serving.scanning import FolderAwayError, model_folders, served_name

SOURCE = "source.json"  # in a folder that `roberta-serve pull` has written: where it comes from

Source = dict[str, str]


@dataclass(frozen=True)
class Place:
    """Where the versions of one name lie, the highest first.

    `own_name`: what its bundles call themselves, where that is another name. `source`: its repository, revision and
    commit, and how it is served. `problem`: why it cannot be served at all.
    """

    name: str
    folders: Mapping[int, Path]
    own_name: str | None = None
    source: Source | None = None
    problem: str | None = None

    def label(self, bundle: Bundle) -> Bundle:
        """Return a bundle under the name of this place, with where it comes from in its provenance."""
        source = self.source or source_of(bundle.path)
        manifest = bundle.manifest
        changes: dict[str, Any] = {} if self.name == manifest.name else {"name": self.name}
        if source:
            changes["provenance"] = {**manifest.provenance, "source": source}
        return replace(bundle, manifest=manifest.model_copy(update=changes)) if changes else bundle


@dataclass(frozen=True)
class NamedModels:
    """The models that were named at the start, in that order. `has_folder`: whether those of the folder are served
    as well. `problems`: what has failed since, for a person."""

    places: tuple[Place, ...] = ()
    has_folder: bool = True
    problems: tuple[str, ...] = ()

    def write(self, file: Path) -> None:
        """Keep them for every process that loads models. Raises `OSError`."""
        replace_file(file, json.dumps(asdict(self), default=str))

    @classmethod
    def read(cls, file: Path) -> NamedModels:
        """Raises `OSError` and `ValueError`."""
        content = json.loads(file.read_text(encoding="utf-8"))
        places = tuple(place_from(row) for row in content["places"])
        return cls(places, content["has_folder"], tuple(content["problems"]))


def place_from(row: Mapping[str, Any]) -> Place:
    """Return a place from the fields that JSON has kept of it."""
    folders = {int(version): Path(folder) for version, folder in row["folders"].items()}
    return Place(row["name"], folders, row["own_name"], row["source"], row["problem"])


@dataclass(frozen=True)
class Found:
    """What there is, by name. `named`: what was named at the start, in that order. `away`: why the models folder tells
    nothing. `is_empty`: it has no model."""

    by_name: dict[str, Place] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    away: str | None = None
    is_empty: bool = False


class Places:
    """Finds where models lie. `table` is the file of `NamedModels`, where models were named."""

    def __init__(self, models: Path, table: Path | None = None) -> None:
        self._models, self._table = models, table

    def read(self) -> Found:
        """Look again. Raises `OSError` and `ValueError` where the table cannot be read."""
        named = NamedModels() if self._table is None else NamedModels.read(self._table)
        by_name = {place.name: place for place in named.places}
        names = tuple(by_name)
        if not named.has_folder:
            return Found(by_name, names, named.problems)
        try:
            folders = model_folders(self._models)
        except FolderAwayError as error:
            return Found(by_name, names, named.problems, str(error))
        problems = [*named.problems]
        for place in places_of(folders, problems):
            if place.name in by_name:
                problems.append(f"{place.name} in the models folder is not served: a model of that name was given")
            by_name.setdefault(place.name, place)
        return Found(by_name, names, tuple(problems), is_empty=not folders)

    def emptied(self, names: Iterable[str]) -> dict[str, Place]:
        """Return a place for each of the names whose folder is there and has no model any more."""
        return {name: Place(name, {1: self._models / name}) for name in names if (self._models / name).is_dir()}


def places_of(folders: Iterable[Path], problems: list[str]) -> Iterable[Place]:
    """Yield a place for each folder of the models folder. Of two with one name, that which is called so is served."""
    taken: dict[str, Path] = {}
    for folder in sorted(folders, key=lambda path: (path.name != served_name(path), path.name)):
        name = served_name(folder)
        if name in taken:
            problems.append(f"{folder.name} is not served: it would be called {name}, as {taken[name].name} is")
            continue
        taken[name] = folder
    yield from (place_of(taken[name], name) for name in sorted(taken))


def place_of(folder: Path, name: str, own_name: str | None = None) -> Place:
    """Return the place of a folder: a bundle's versions, a repository in Hugging Face's cache, or one model."""
    if slug(name) != name:
        return Place(name, {1: folder}, problem=f"{name[:80]!r} is no name of a model; rename it: {NAME_RULE}")
    if not is_cached_repository(folder):
        return Place(name, version_folders(folder.parent, folder.name), own_name)
    try:
        snapshot = snapshot_in(folder)
    except BundleError as error:
        return Place(name, {1: folder}, problem=str(error))
    repository = repository_of(folder.resolve()) or repository_of(folder)
    return Place(name, {1: snapshot}, source={"repository": repository or name, "commit": snapshot.name})


def source_of(folder: Path) -> Source | None:
    """Return where a folder says that it comes from; None where it does not."""
    try:
        return {key: str(value)[:200] for key, value in read_json(folder / SOURCE).items()}
    except BundleError:
        return None
