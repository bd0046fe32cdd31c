"""The table of models: what is served, what was refused, and which model a request means. It loads nothing itself."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from app.errors import ModelNotFoundError, NotReadyError, quote
from app.serving.defaults import ROUTES, Defaults
from app.serving.model import Model
from app.tasks import reason_against, routes_behind

State = Literal["ready", "failed", "unloaded"]

LOADING = "models are still loading; try again in a moment"


@dataclass
class Entry:
    """One name under `models/`: the model that is served, and why other versions are refused.

    `note` says why the model that is served is not one that its folder has.
    """

    name: str
    model: Model | None = None
    refused: dict[int, str] = field(default_factory=dict)
    note: str | None = None
    is_unloaded: bool = False  # by an order

    @property
    def state(self) -> State:
        if self.is_unloaded:
            return "unloaded"
        return "failed" if self.model is None else "ready"

    def describe(self) -> dict[str, Any]:
        """Return what is said of it to who has ordered something."""
        about: dict[str, Any] = {"name": self.name, "state": self.state}
        if self.model is not None:
            about |= {"version": self.model.bundle.manifest.version, "task": self.model.bundle.manifest.task}
        if self.note is not None:
            about["note"] = self.note
        if self.refused:
            about["refused"] = {str(version): reason for version, reason in self.refused.items()}
        return about


@dataclass(frozen=True)
class Table:
    """What is served, by name, which model answers each route, and why nothing is served at the moment, if so.

    `problems` are those of the last load that concern no single bundle.
    """

    entries: dict[str, Entry]
    defaults: Defaults
    problems: tuple[str, ...] = ()
    suspended: str | None = None
    has_models: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_models", any(entry.model for entry in self.entries.values()))

    def default_of(self, route: str) -> str | None:
        """Return the model, `name` or `name:version`, that is to answer a route; None where the first may.

        A task that is asked of another task's models is answered by the default of that one, if it can be. Raises
        `NotReadyError` where a default cannot be honored.
        """
        for other in (route, *routes_behind(route)):
            if (reason := self.defaults.blocked.get(other)) is not None:
                raise NotReadyError(reason)
            spec = self.defaults.models.get(other)
            if spec is not None and (other == route or self._answers(spec, route)):
                return spec
        return None

    def _answers(self, spec: str, route: str) -> bool:
        entry = self.entries.get(spec.partition(":")[0])
        return entry is not None and entry.model is not None and route in entry.model.pipelines

    def first_for(self, route: str) -> Model | None:
        """Return the first model by name that answers a route; of several tasks' models, one of the first task."""
        models = [entry.model for entry in self.entries.values()]
        answering = [model for model in models if model is not None and route in model.pipelines]
        behind = routes_behind(route) or [route]
        return min(answering, key=lambda model: behind.index(model.task.route), default=None)

    def reason_against(self, route: str) -> str:
        """Return why a model that is there cannot answer a route, in brackets; nothing where none is near."""
        models = (entry.model for entry in self.entries.values() if entry.model is not None)
        reasons = ((model.name, reason_against(route, model.bundle.manifest)) for model in models)
        return next((f" ({name!r} {reason})" for name, reason in reasons if reason is not None), "")

    def answering(self, route: str) -> str | None:
        """Return the model that answers a route when a request names none; None where no model does."""
        try:
            spec = self.default_of(route)
        except NotReadyError:
            return None
        first = self.first_for(route) if spec is None else None
        return spec if first is None else first.name


class Registry:
    """Finds models by route, name and version. `folder` is the name of the models folder in messages of errors."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._table = Table({}, Defaults(), suspended=LOADING)
        self._is_frozen = False

    @property
    def entries(self) -> list[Entry]:
        return list(self._table.entries.values())

    @property
    def table(self) -> Table:
        """The table as it is now; a reload may replace it at any moment."""
        return self._table

    def served(self) -> dict[str, Model]:
        """Return the models that are served, by name."""
        return {name: entry.model for name, entry in self._table.entries.items() if entry.model is not None}

    def answering(self) -> dict[str, str]:
        """Return the model, `name` or `name:version`, that answers each route when a request names none."""
        table = self._table
        return {route: spec for route in ROUTES if (spec := table.answering(route)) is not None}

    def entry(self, name: str) -> Entry | None:
        return self._table.entries.get(name)

    def publish(self, entries: Iterable[Entry], defaults: Defaults, problems: tuple[str, ...] = ()) -> None:
        """Replace the table, and the model that answers each route, in one step.

        `gc.freeze`, once: most of what the process has made by then lives as long as it does, so that the garbage
        collector need not walk it. Frozen again, replaced models that are in a cycle would stay for good.
        """
        table = {entry.name: entry for entry in entries}
        self._table = Table(table, defaults, problems)
        gc.collect()  # a replaced model that is in a cycle would hold its memory until Python looks by itself
        if not self._is_frozen:
            self._is_frozen = True
            gc.freeze()

    def suspend(self, reason: str) -> None:
        """Be not ready until the next `publish` or `resume`. Models are found meanwhile: their lanes may wait."""
        if self._table.suspended != reason:
            self._table = replace(self._table, suspended=reason)

    def resume(self) -> None:
        """Be ready again with the models of the last `publish`."""
        if self._table.suspended is not None:
            self._table = replace(self._table, suspended=None)

    def check_ready(self) -> None:
        """Raise `NotReadyError` unless at least one model is served, and nothing suspends it."""
        if (reason := self._table.suspended) is not None:
            raise NotReadyError(reason)
        self._table_with_models()

    def find(self, route: str | None, spec: str | None) -> Model:
        """Return the model for a route and an optional `name` or `name:version`.

        Raises `NotReadyError` before any model is served and where the route's default cannot be honored,
        `ModelNotFoundError` when no model fits.
        """
        table = self._table_with_models()
        spec = spec or table.default_of(route or "")
        if spec is None:
            if (first := table.first_for(route or "")) is None:
                reason = table.reason_against(route or "")
                raise ModelNotFoundError(f"no model for /{route} is loaded{reason}; GET /models lists what is")
            return first
        name, _, version = spec.partition(":")
        entry = table.entries.get(name)
        if entry is None or entry.model is None:
            raise ModelNotFoundError(f"there is no model {quote(name)}; GET /models lists them")
        model = entry.model
        if version and version != str(model.bundle.manifest.version):
            raise ModelNotFoundError(f"version {quote(version)} of {name!r} is not loaded; {model.id} is")
        if route and route not in model.pipelines:
            reason = reason_against(route, model.bundle.manifest) or f"answers /{model.task.route}, not /{route}"
            raise ModelNotFoundError(f"{name!r} {reason}")
        return model

    def _table_with_models(self) -> Table:
        """Return the table as it is now, to be read once: a reload may replace it at any moment."""
        table = self._table
        if not table.has_models:
            nothing = f"no model under {self._folder}/ could be loaded; GET /models says why"
            raise NotReadyError(table.suspended or nothing)
        return table
