"""Finding tasks: each module in a folder that defines a concrete `Task` adds one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from app.tasks.base import Task

AnyTask = type[Task[Any, Any]]


def find_tasks(package: ModuleType) -> dict[str, AnyTask]:
    """Import every module of `package` and return the tasks that they define, by pipeline name.

    Modules are taken in the order of their names. Raises `ImportError` where two tasks share a word.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return by_name(task for module in modules for task in tasks_of(module))


def tasks_of(module: ModuleType) -> list[AnyTask]:
    """Return the concrete tasks that a module defines itself; those that it imports belong to another."""
    classes = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    return [each for each in classes if issubclass(each, Task) and not inspect.isabstract(each)]


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
