"""Finding tasks: each module in a folder that defines a concrete task adds one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from app.discovery import classes_in
from app.tasks.base import BaseTask, SecondaryTask, Task

AnyTask = type[BaseTask[Any, Any]]


def find_tasks(package: str) -> dict[str, AnyTask]:
    """Import every module of `package` and return the tasks that they define, by pipeline name.

    Modules are taken in the order of their names. Raises `ImportError` where two tasks share a word, and where a
    secondary task names one that has no models.
    """
    found = by_name(classes_in(package, BaseTask))  # type: ignore[type-abstract]
    for task in secondary(found).values():
        if missing := set(task.models_of) - with_models(found).keys():
            raise ImportError(f"{inspect.getfile(task)}: models_of names {missing.pop()!r}, which has no models")
    return found


def by_name(tasks: Iterable[AnyTask]) -> dict[str, AnyTask]:
    """Return tasks by pipeline name.

    Raises `ImportError`, naming both files, where two have a name, route, alias or architecture in common.
    """
    found: dict[str, AnyTask] = {}
    owners: dict[str | None, AnyTask] = {}
    for task in tasks:
        for word in words_of(task):
            owner = owners.setdefault(word, task)
            if word is not None and owner is not task:
                raise ImportError(
                    f"{inspect.getfile(owner)} and {inspect.getfile(task)} both claim {word!r}; change one"
                )
        found[task.name] = task
    return found


def words_of(task: AnyTask) -> tuple[str | None, ...]:
    """Return the words by which a task is known."""
    return (task.name, task.route, *((*task.aliases, task.architecture) if issubclass(task, Task) else ()))


def with_models(tasks: Mapping[str, AnyTask]) -> dict[str, type[Task[Any, Any]]]:
    """Return the tasks that have models of their own."""
    return {name: task for name, task in tasks.items() if issubclass(task, Task)}


def secondary(tasks: Mapping[str, AnyTask]) -> dict[str, type[SecondaryTask[Any, Any]]]:
    """Return the tasks that are asked of the models of other tasks."""
    return {name: task for name, task in tasks.items() if issubclass(task, SecondaryTask)}


def default_route_of(tasks: Mapping[str, AnyTask]) -> str:
    """Return the route of the default task. Raises `ImportError` unless exactly one task has `is_default`."""
    routes = [task.route for task in with_models(tasks).values() if task.is_default]
    if len(routes) != 1:
        raise ImportError(f"one task must have is_default = True, not {', '.join(routes) or 'none'}")
    return routes[0]
