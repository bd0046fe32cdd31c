"""Finding tasks: each module in a folder that defines a concrete `Task` adds one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from app.discovery import classes_in
from app.tasks.base import Task

AnyTask = type[Task[Any, Any]]


def find_tasks(package: str) -> dict[str, AnyTask]:
    """Import every module of `package` and return the tasks that they define, by pipeline name.

    Modules are taken in the order of their names. Raises `ImportError` where two tasks share a word.
    """
    return by_name(classes_in(package, Task))  # type: ignore[type-abstract]


def by_name(tasks: Iterable[AnyTask]) -> dict[str, AnyTask]:
    """Return tasks by pipeline name.

    Raises `ImportError`, naming both files, where two have a name, route, alias or architecture in common.
    """
    found: dict[str, AnyTask] = {}
    owners: dict[str | None, AnyTask] = {}
    for task in tasks:
        for word in (task.name, task.route, *task.aliases, task.architecture):
            owner = owners.setdefault(word, task)
            if word is not None and owner is not task:
                raise ImportError(
                    f"{inspect.getfile(owner)} and {inspect.getfile(task)} both claim {word!r}; change one"
                )
        found[task.name] = task
    return found


def default_route_of(tasks: Mapping[str, AnyTask]) -> str:
    """Return the route of the default task. Raises `ImportError` unless exactly one task has `is_default`."""
    routes = [task.route for task in tasks.values() if task.is_default]
    if len(routes) != 1:
        raise ImportError(f"one task must have is_default = True, not {', '.join(routes) or 'none'}")
    return routes[0]
