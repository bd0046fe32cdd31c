"""What an operator may order while the service runs: to load, unload or reload, and to make a model a default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from app.bundle import replace_file

Action = Literal["reload", "load", "unload", "default"]


@dataclass(frozen=True)
class Order:
    """One order: `name` is that of a bundle, `version` one of its versions, `route` the one to be answered by it."""

    action: Action
    name: str = ""
    version: int | None = None
    route: str | None = None


@dataclass(frozen=True)
class Choices:
    """What was ordered and holds until the service is started again: names that stay unloaded, the version that is
    served of a name, and the default model of a route."""

    unloaded: frozenset[str] = frozenset()
    versions: Mapping[str, int] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    def after(self, order: Order) -> Choices:
        """Return the choices once an order is obeyed."""
        if order.action == "unload":
            return replace(self, unloaded=self.unloaded | {order.name})
        if order.action == "load":
            versions = {name: version for name, version in self.versions.items() if name != order.name}
            if order.version is not None:
                versions[order.name] = order.version
            return replace(self, unloaded=self.unloaded - {order.name}, versions=versions)
        if order.action == "default" and order.route is not None:
            spec = order.name if order.version is None else f"{order.name}:{order.version}"
            return replace(self, defaults={**self.defaults, order.route: spec})
        return self

    def write(self, file: Path) -> None:
        """Keep the choices for the process that replaces this one. Raises `OSError`."""
        content = {"unloaded": sorted(self.unloaded), "versions": self.versions, "defaults": self.defaults}
        replace_file(file, json.dumps(content))

    @classmethod
    def read(cls, file: Path) -> Choices:
        """Return what was kept; nothing where there is no such file."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return cls(frozenset(content["unloaded"]), content["versions"], content["defaults"])
        except (OSError, ValueError, LookupError):
            return cls()
