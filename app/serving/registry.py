"""The table of models: what is served, what was refused, and which model a request means. It loads nothing itself."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from app.errors import ModelNotFoundError, NotReadyError
from app.serving.model import Model

LOADING = "models are still loading; try again in a moment"


@dataclass
class Entry:
    """One name under `models/`: the model that is served, and why other versions are refused."""

    name: str
    model: Model | None = None
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def state(self) -> Literal["ready", "failed"]:
        return "failed" if self.model is None else "ready"


@dataclass(frozen=True)
class Table:
    """What is served, by name, which model answers each route, and why nothing is served at the moment, if so."""

    entries: dict[str, Entry]
    defaults: dict[str, str]
    suspended: str | None = None


class Registry:
    """Finds models by route, name and version. `folder` is the name of the models folder in messages of errors."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._table = Table({}, {}, LOADING)

    @property
    def entries(self) -> list[Entry]:
        return list(self._table.entries.values())

    @property
    def defaults(self) -> dict[str, str]:
        """The model that answers each route."""
        return self._table.defaults

    def entry(self, name: str) -> Entry | None:
        return self._table.entries.get(name)

    def publish(self, entries: Iterable[Entry], defaults: dict[str, str]) -> None:
        """Replace the table, and the model that answers each route, in one step.

        `gc.freeze`: loaded models live as long as the process, so that the garbage collector need not walk them.
        """
        table = {entry.name: entry for entry in entries}
        gc.collect()
        gc.freeze()
        self._table = Table(table, defaults)

    def suspend(self, reason: str) -> None:
        """Serve nothing until the next `publish`; the entries stay listed."""
        self._table = replace(self._table, suspended=reason)

    def check_ready(self) -> None:
        """Raise `NotReadyError` unless at least one model is served."""
        self._ready_table()

    def find(self, route: str | None, spec: str | None) -> Model:
        """Return the model for a route and an optional `name` or `name:version`.

        Raises `NotReadyError` before any model is served, `ModelNotFoundError` when none fits.
        """
        table = self._ready_table()
        spec = spec or table.defaults.get(route or "")
        if spec is None:
            return first_for(route, table)
        name, _, version = spec.partition(":")
        entry = table.entries.get(name)
        if entry is None or entry.model is None:
            raise ModelNotFoundError(f"there is no model {name!r}; GET /models lists them")
        model = entry.model
        if version and version != str(model.bundle.manifest.version):
            raise ModelNotFoundError(f"version {version!r} of {name!r} is not loaded; {model.id} is")
        if route and model.task.route != route:
            raise ModelNotFoundError(f"{name!r} answers /{model.task.route}, not /{route}")
        return model

    def _ready_table(self) -> Table:
        """Return the table as it is now, to be read once: a reload may replace it at any moment."""
        table = self._table
        if table.suspended is not None:
            raise NotReadyError(table.suspended)
        if not any(entry.model for entry in table.entries.values()):
            raise NotReadyError(f"no model under {self._folder}/ could be loaded; GET /models says why")
        return table


def first_for(route: str | None, table: Table) -> Model:
    for entry in table.entries.values():
        if entry.model and entry.model.task.route == route:
            return entry.model
    raise ModelNotFoundError(f"no model for /{route} is loaded; GET /models lists what is")
