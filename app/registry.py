"""The folder of bundles, and the models that are served from it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from app.bundle import TEMPORARY_PREFIX, BundleError, read_bundle, versions
from app.defaults import DefaultsError, read_defaults
from app.engine.engine import Engine
from app.errors import ModelNotFoundError, NotReadyError
from app.metrics import Metrics
from app.model import Model, load_model
from app.runtime.session import PROVIDERS, Device
from app.settings import Settings, available_cores

log = structlog.get_logger(__name__)


@dataclass
class Entry:
    """What became of one name under `models/`: the model that is served, and why other versions are not."""

    name: str
    model: Model | None = None
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def state(self) -> Literal["ready", "failed"]:
        return "failed" if self.model is None else "ready"


class Registry:
    """Loads the highest version that loads, of every name. `load` may be called again to pick up new ones."""

    def __init__(self, settings: Settings, device: Device, engine: Engine, metrics: Metrics) -> None:
        self._settings, self._device, self._engine, self._metrics = settings, device, engine, metrics
        self._loading = threading.Lock()
        self._entries: dict[str, Entry] | None = None  # None until the first load has ended
        self._defaults: dict[str, str] = {}

    @property
    def entries(self) -> list[Entry]:
        return list((self._entries or {}).values())

    def check_ready(self) -> None:
        """Raise `NotReadyError` unless at least one model is served."""
        if self._entries is None:
            raise NotReadyError("models are still loading; try again in a moment")
        if not any(entry.model for entry in self.entries):
            raise NotReadyError(f"no model under {self._settings.models.name}/ could be loaded; GET /models says why")

    def load(self) -> None:
        """Load every bundle, several at a time, and swap the table in one step. A model already served is kept."""
        with self._loading:
            folder = self._settings.models
            names = sorted(p.name for p in folder.iterdir() if is_bundle(p)) if folder.is_dir() else []
            with ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="load") as pool:
                entries = dict(zip(names, pool.map(self._load_name, names), strict=True))
            self._defaults = self._read_defaults()
            self._entries = entries
            self._report()

    def find(self, route: str | None, spec: str | None) -> Model:
        """Return the model for a route and an optional `name` or `name:version`.

        Raises `NotReadyError` before any model is served, `ModelNotFoundError` when none fits.
        """
        self.check_ready()
        spec = spec or self._defaults.get(route or "")
        if spec is None:
            return self._first(route)
        name, _, version = spec.partition(":")
        entry = (self._entries or {}).get(name)
        if entry is None or entry.model is None:
            raise ModelNotFoundError(f"there is no model {name!r}; GET /models lists them")
        model = entry.model
        if version and version != str(model.bundle.manifest.version):
            raise ModelNotFoundError(f"version {version!r} of {name!r} is not loaded; {model.id} is")
        if route and model.task.route != route:
            raise ModelNotFoundError(f"{name!r} answers /{model.task.route}, not /{route}")
        return model

    def _read_defaults(self) -> dict[str, str]:
        """Return the default of each route: the setting's, else that of the models folder."""
        try:
            published = read_defaults(self._settings.models)
        except DefaultsError as error:
            log.error("defaults_refused", reason=str(error))
            published = {}
        return published | self._settings.default_models

    def _first(self, route: str | None) -> Model:
        for entry in self.entries:
            if entry.model and entry.model.task.route == route:
                return entry.model
        raise ModelNotFoundError(f"no model for /{route} is loaded; GET /models lists what is")

    def _load_name(self, name: str) -> Entry:
        folder = self._settings.models / name
        served = (self._entries or {}).get(name)
        entry = Entry(name)
        for version in versions(self._settings.models, name) or [1]:
            if served and served.model and served.model.bundle.manifest.version == version:
                entry.model = served.model
                break
            path = folder / str(version) if (folder / str(version)).is_dir() else folder
            try:
                bundle = read_bundle(path, name=name, version=version)
                entry.model = load_model(bundle, self._device, self._settings, self._engine, self._metrics)
                break
            except Exception as error:  # whatever is wrong with one bundle, the others are served
                reason = str(error) if isinstance(error, BundleError) else f"{type(error).__name__}: {error}"
                entry.refused[version] = reason
                self._metrics.model_load_failures.labels(name).inc()
                log.error("bundle_refused", model=name, version=version, reason=reason)
        return entry

    def _report(self) -> None:
        self._metrics.model_info.clear()
        self._metrics.model_loaded.clear()
        for entry in self.entries:
            self._metrics.model_loaded.labels(entry.name).set(entry.model is not None)
            self._metrics.model_load_failures.labels(entry.name)
            if (model := entry.model) is None:
                continue
            manifest, session = model.bundle.manifest, model.session
            self._metrics.model_info.labels(
                model.name,
                str(manifest.version),
                manifest.task,
                session.precision,
                PROVIDERS[session.device],
                manifest.layout,
            ).set(1)
            log.info("model_ready", model=model.id, precision=session.precision, device=session.device)


def is_bundle(path: Path) -> bool:
    """Whether a folder under `models/` is meant to be served: not when it is hidden, nor while only being written."""
    if not path.is_dir() or path.name.startswith((".", "_")):
        return False
    entries = [entry.name for entry in path.iterdir()]
    return not entries or not all(name.startswith(TEMPORARY_PREFIX) for name in entries)
