"""The table of models: what is served, what was refused, and which model a request means. It loads nothing itself."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from app.errors import ModelNotFoundError, NotReadyError
from app.model import Model

LOADING = "models are still loading; try again in a moment"


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
    """Finds models by route, name and version. `folder` is the name by which errors call the models folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._entries: dict[str, Entry] = {}
        self.defaults: dict[str, str] = {}  # the model that answers each route
        self._suspended: str | None = LOADING  # why nothing is served at the moment

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def entry(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def publish(self, entries: Iterable[Entry], defaults: dict[str, str]) -> None:
        """Replace the table, and the model that answers each route, in one step.

        What is there is there to stay: the garbage collector's walks over it took 9 % of the CPU time of a request,
        forward pass aside.
        """
        table = {entry.name: entry for entry in entries}
        gc.collect()
        gc.freeze()
        self.defaults, self._entries, self._suspended = defaults, table, None

    def suspend(self, reason: str) -> None:
        """Serve nothing until the next `publish`; what is known stays listed."""
        self._suspended = reason

    def check_ready(self) -> None:
        """Raise `NotReadyError` unless at least one model is served."""
        if self._suspended is not None:
            raise NotReadyError(self._suspended)
        if not any(entry.model for entry in self.entries):
            raise NotReadyError(f"no model under {self._folder}/ could be loaded; GET /models says why")

    def find(self, route: str | None, spec: str | None) -> Model:
        """Return the model for a route and an optional `name` or `name:version`.

        Raises `NotReadyError` before any model is served, `ModelNotFoundError` when none fits.
        """
        self.check_ready()
        spec = spec or self.defaults.get(route or "")
        if spec is None:
            return self._first(route)
        name, _, version = spec.partition(":")
        entry = self._entries.get(name)
        if entry is None or entry.model is None:
            raise ModelNotFoundError(f"there is no model {name!r}; GET /models lists them")
        model = entry.model
        if version and version != str(model.bundle.manifest.version):
            raise ModelNotFoundError(f"version {version!r} of {name!r} is not loaded; {model.id} is")
        if route and model.task.route != route:
            raise ModelNotFoundError(f"{name!r} answers /{model.task.route}, not /{route}")
        return model

    def _first(self, route: str | None) -> Model:
        for entry in self.entries:
            if entry.model and entry.model.task.route == route:
                return entry.model
        raise ModelNotFoundError(f"no model for /{route} is loaded; GET /models lists what is")
