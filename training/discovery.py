"""Finds the classes that the modules of a folder define, so that a new task or encoder family is a new file only."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import TypeVar

BaseT = TypeVar("BaseT")


def instances_in(package: str, base: type[BaseT]) -> Iterator[BaseT]:
    """Yield an instance of each concrete subclass of `base` that a module of `package` defines, by module name."""
    path = importlib.import_module(package).__path__
    for module in sorted(found.name for found in pkgutil.iter_modules(path)):
        contents = vars(importlib.import_module(f"{package}.{module}"))
        for kind in contents.values():
            is_own = inspect.isclass(kind) and kind.__module__ == f"{package}.{module}"
            if is_own and issubclass(kind, base) and not inspect.isabstract(kind):
                yield kind()
