"""From what was named to where it is served from: fetched, exported where that is needed, and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from app.bundle import MANIFEST, BundleError, Precision, read_json, versions
from app.bundle.hub_cache import is_cached_repository, repository_of, snapshot_in
from app.bundle.sentence_modules import is_sentence_model
from app.hub.choosing import Choice, choose
from app.hub.devices import Device
from app.hub.errors import HubError
from app.hub.events import Tell
from app.hub.exporting import exported, how_to_export, missing_modules
from app.hub.integrity import pointers_among
from app.hub.naming import Spec
from app.serving.places import Place, Source, place_of
from app.serving.scanning import is_bundle
from app.tasks import MODEL_TASKS, task_of

PRECISIONS: dict[Device, Precision] = {"cpu": "fp32", "cuda": "fp16"}  # of what is exported


@dataclass(frozen=True)
class Checkpoint:
    """What was named, on disk. `origin` is its repository, or the name of its folder."""

    folder: Path
    choice: Choice
    origin: str
    source: Source

    def content(self) -> str:
        """Return what changes with the files that are served: a commit that leaves them alone exports nothing anew."""
        digest = hashlib.sha256()
        for name in sorted(self.choice.files):
            file = self.folder / name
            status = file.stat()
            is_blob = file.is_symlink()  # of Hugging Face's cache, named after its hash
            stamp = file.readlink().name if is_blob else f"{status.st_size} {status.st_mtime_ns}"
            digest.update(f"{name}\0{stamp}\n".encode())
        return digest.hexdigest()[:40]


class Preparation:
    """Makes places of what was named. `tell` is told how it goes."""

    def __init__(self, device: Device, tell: Tell) -> None:
        self._device, self._tell = device, tell
        self._missing = missing_modules()

    def prepare(self, spec: Spec) -> Place:
        """Return where a model is served from. Raises `HubError`."""
        try:
            place = self._of_folder(spec, spec.folder) if spec.folder is not None else self._of_repository(spec)
        except BundleError as error:
            raise HubError(f"{spec.text}: {error}") from error
        self._tell(
            "model_prepared",
            model=place.name,
            served_from=str(next(iter(place.folders.values()))),
            **place.source or {},
        )
        return place

    # --- Repositories of the Hub -------------------------------------------------------------------------

    def _of_repository(self, spec: Spec) -> Place:
        from app.hub.fetching import Repository, fetch  # huggingface_hub, which a folder does not need

        repository = Repository(spec.repository, spec.revision, self._tell)
        source = {"repository": spec.repository, "revision": spec.revision, "commit": repository.commit}

        def checkpoint(*, prefers_export: bool) -> Checkpoint:
            def chooser(names: Iterable[str], config: Mapping[str, Any]) -> Choice:
                names = list(names)
                choice = choose(names, prefers_export=prefers_export, device=self._device, what=spec.repository)
                self._check(choice, config, spec)
                return choice

            found = fetch(repository, chooser)
            return Checkpoint(found.folder, found.choice, spec.repository, source)

        return self._served(spec, checkpoint)

    # --- Folders -----------------------------------------------------------------------------------------

    def _of_folder(self, spec: Spec, folder: Path) -> Place:
        folder = folder.resolve()
        if is_cached_repository(folder) or (folder.parent.name == "snapshots" and repository_of(folder) is not None):
            return self._of_snapshot(spec, folder if folder.parent.name == "snapshots" else snapshot_in(folder))
        if (folder / MANIFEST).is_file():
            return self._of_bundle(spec, folder)
        if versions(folder.parent, folder.name):
            return replace(place_of(folder, folder.name, folder.name), name=spec.name, problem=None)
        if not (folder / "config.json").is_file():
            raise HubError(without_model(folder, spec.text))
        return self._served(spec, self._local(spec, folder, folder.name, {"folder": folder.name}))

    def _of_snapshot(self, spec: Spec, folder: Path) -> Place:
        repository = repository_of(folder) or folder.name
        source = {"repository": repository, "commit": folder.name}
        return self._served(spec, self._local(spec, folder, repository, source))

    def _of_bundle(self, spec: Spec, folder: Path) -> Place:
        manifest = read_json(folder / MANIFEST)
        name, version = manifest.get("name"), manifest.get("version")
        if not isinstance(name, str) or not isinstance(version, int):
            raise HubError(f"{spec.text} has a {MANIFEST} without a name and a version; publish the bundle again")
        return Place(spec.name, {version: folder}, own_name=name)

    def _local(self, spec: Spec, folder: Path, origin: str, source: Source) -> Any:
        names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]

        def checkpoint(*, prefers_export: bool) -> Checkpoint:
            choice = choose(names, prefers_export=prefers_export, device=self._device, what=spec.text)
            if pointers := pointers_among(folder, choice.files):
                raise HubError(f"{pointers[0]} of {spec.text} is a Git LFS pointer, not the file; run `git lfs pull`")
            self._check(choice, read_json(folder / "config.json"), spec)
            return Checkpoint(folder, choice, origin, source)

        return checkpoint

    # --- Both --------------------------------------------------------------------------------------------

    def _check(self, choice: Choice, config: Mapping[str, Any], spec: Spec) -> None:
        """Refuse what no task serves, or nothing here can export, before anything large is fetched."""
        if choice.kind == "bundle":
            return
        try:
            task_of(dict(config), has_modules=is_sentence_model(choice.files))
        except BundleError:
            raise HubError(without_task(config, spec)) from None
        if choice.kind == "safetensors" and self._missing:
            raise HubError(how_to_export(spec.repository or spec.text, choice.main, spec.name))

    def _served(self, spec: Spec, checkpoint: Any) -> Place:
        """Export safetensors where that can be done: packed graphs are faster and proved. Else serve the graph."""
        found: Checkpoint = checkpoint(prefers_export=not self._missing)
        if found.choice.kind == "safetensors":
            try:
                return self._exported(spec, found)
            except HubError as error:
                graph = self._with_graph(checkpoint)
                if graph is None:
                    raise
                self._tell("export_failed", repository=found.origin, reason=str(error), served=graph.choice.main)
                found = graph
        if found.choice.kind == "bundle":
            return replace(self._of_bundle(spec, found.folder), source=found.source)
        why = f"{found.choice.main} as it is, padded, not verified"
        return Place(spec.name, {1: found.folder}, source=found.source | {"served": why})

    def _with_graph(self, checkpoint: Any) -> Checkpoint | None:
        """Return the same with its ONNX graph; None where it has none."""
        try:
            found: Checkpoint = checkpoint(prefers_export=False)
        except HubError:
            return None
        return found if found.choice.kind == "onnx" else None

    def _exported(self, spec: Spec, found: Checkpoint) -> Place:
        precision = PRECISIONS[self._device]
        folder = exported(
            found.folder, origin=found.origin, content=found.content(), precision=precision, tell=self._tell
        )
        served = f"a bundle exported from {found.choice.main}, packed, {precision}, with probes"
        own_name = read_json(folder / MANIFEST)["name"]
        return Place(spec.name, {1: folder}, own_name=own_name, source=found.source | {"served": served})


def without_model(folder: Path, text: str) -> str:
    """Say what a folder is that is no model."""
    if any(
        is_bundle(path) and (versions(folder, path.name) or (path / "config.json").is_file())
        for path in folder.iterdir()
    ):
        return f"{text} is a folder of models, not a model; give it as --models {folder}"
    return f"{text} has no config.json; give a bundle, or a folder that was saved by save_pretrained"


def without_task(config: Mapping[str, Any], spec: Spec) -> str:
    """Say which architecture is not served, and which are."""
    named = config.get("architectures")
    architecture = ", ".join(map(str, named)) if isinstance(named, list) and named else "no architecture"
    endings = {name: task.architecture for name, task in sorted(MODEL_TASKS.items()) if task.architecture}
    served = ", ".join(f"{name} (...{ending})" for name, ending in endings.items())
    return f"{spec.repository or spec.text} is {architecture[:200]}, which is not served; these tasks are: {served}"


def row_of(place: Place) -> dict[str, Any]:
    """Return a place as JSON has it."""
    return {**asdict(place), "folders": {str(version): str(folder) for version, folder in place.folders.items()}}
