"""Which model answers each route when a request names none. A configured default that cannot be honored is said, and
never replaced by a guess."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.bundle.defaults import FILE, DefaultsError, read_defaults
from app.serving.model import Model
from app.tasks import TASKS
from app.tasks import reason_against as reason_for

ROUTES = tuple(task.route for task in TASKS.values())


@dataclass(frozen=True)
class Defaults:
    """The model, `name` or `name:version`, of each route that has one.

    A route in `blocked`, with the reason, is answered by no model unless the request names one. `problems` says what
    is wrong with the configuration, for a person.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Configured:
    """What settings and the file `defaults.json` say. `doubt`: why routes without a default may lack one by mistake."""

    models: Mapping[str, str]
    doubt: str | None = None


def read_configured(folder: Path, settings: Mapping[str, str]) -> Configured:
    """Read `defaults.json`; a route's setting goes before it."""
    try:
        published = read_defaults(folder)
    except DefaultsError as error:
        return Configured(settings, str(error))
    unknown = sorted(published.keys() - set(ROUTES))
    return Configured({**published, **settings}, misspelt(unknown[0]) if unknown else None)


def misspelt(route: str) -> str:
    near = difflib.get_close_matches(route[:80], ROUTES, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ROUTES)}"
    return f"{FILE} names a route {route[:80]!r} that is not known; {hint}"


def choose_defaults(configured: Configured, served: Mapping[str, Model], before: Mapping[str, str]) -> Defaults:
    """Return the model of each route, `served` being all by name and `before` what has answered until now.

    Where a default names no served model of its task, or may be missing because the file is not understood, the route
    keeps what answered before; where that is gone, or nothing has answered yet, the route is blocked.
    """
    models, blocked = {}, {}
    problems = [configured.doubt] if configured.doubt else []
    for route in ROUTES:
        spec = configured.models.get(route)
        if spec is None and (configured.doubt is None or not any(route in m.pipelines for m in served.values())):
            continue  # answered by the first by name, or by none
        wrong = configured.doubt if spec is None else reason_against(route, spec, served)
        if wrong is None and spec is not None:
            models[route] = spec
            continue
        if spec is not None:
            problems.append(str(wrong))
        kept = before.get(route)
        if kept is not None and reason_against(route, kept, served) is None:
            models[route] = kept
        else:
            blocked[route] = f"{wrong}; until that is mended, a request to /{route} must name its model"
    return Defaults(models, blocked, tuple(problems))


def reason_against(route: str, spec: str, served: Mapping[str, Model]) -> str | None:
    """Return why `name` or `name:version` cannot be the default of a route; None where it can."""
    name, _, version = spec.partition(":")
    model = served.get(name)
    if model is None:
        return f"the default of /{route}, {spec[:80]!r}, is not served"
    if version and version != str(model.bundle.manifest.version):
        return f"the default of /{route} is {spec[:80]!r}, but {model.id} is served"
    if route not in model.pipelines:
        why = reason_for(route, model.bundle.manifest)
        return f"the default of /{route}, {name!r}, {why or f'answers /{model.task.route}'}"
    return None
