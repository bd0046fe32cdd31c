"""Finds the classes that the modules of a folder define, so that a further one is a new file and nothing else."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TypeVar

BaseT = TypeVar("BaseT")


def classes_in(package: str, base: type[BaseT]) -> list[type[BaseT]]:
    """Import every module of `package`; return the concrete subclasses of `base` that each defines, by module name."""
    path = importlib.import_module(package).__path__
    names = sorted(f"{package}.{module.name}" for module in pkgutil.iter_modules(path))
    found = [each for name in names for each in vars(importlib.import_module(name)).values() if is_own(each, name)]
    return [each for each in found if issubclass(each, base) and not inspect.isabstract(each)]


def is_own(value: object, module: str) -> bool:
    """Whether a value is a class that the module defines; one that it imports belongs to another."""
    return inspect.isclass(value) and value.__module__ == module
