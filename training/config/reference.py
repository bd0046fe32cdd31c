"""Writes docs/recipes.md from the recipes themselves: `python -m training.config.reference > docs/recipes.md`."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from training.config.loading import section_of
from training.config.recipe import PretrainRecipe, Recipe

INTRODUCTION = """\
# Recipes

A recipe is a TOML file that says all of a run; it is stored with the result. Every field can be set on the command
line too: `--set training.epochs=5`. This page is made from the code by `python -m training.config.reference`, and a
test fails when it is not up to date.
"""
SIGNS = ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"))


def reference() -> str:
    """Return the page: a table for each section of both kinds of recipe."""
    parts = [INTRODUCTION]
    for title, verbs, kind in (
        ("Fine-tuning", "`finetune`, `check`, `distil` and `prune`", Recipe),
        ("Pretraining", "`pretrain`", PretrainRecipe),
    ):
        parts.append(f"## {title}\n\nRead by {verbs}. {inspect.getdoc(kind)}\n")
        parts += sections(kind)
    return "\n".join(parts)


def sections(kind: type[BaseModel], name: str = "") -> Iterator[str]:
    """Yield the table of a section, then those of the sections in it."""
    rows = [row(name + key, field) for key, field in kind.model_fields.items() if not section_of(field.annotation)]
    heading = f"### `[{name.rstrip('.')}]`\n\n{inspect.getdoc(kind)}\n\n" if name else ""
    yield heading + "\n".join(["| field | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n"
    for key, field in kind.model_fields.items():
        if section := section_of(field.annotation):
            yield from sections(section, f"{name}{key}.")


def row(key: str, field: FieldInfo) -> str:
    cells = (f"`{key}`", values(field), default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def values(field: FieldInfo) -> str:
    """Say what a field takes, with its bounds."""
    bounds = [
        f"{words} {getattr(constraint, attribute):g}"
        for constraint in field.metadata
        for kind, attribute, words in SIGNS
        if isinstance(constraint, kind)
    ]
    extra = field.json_schema_extra
    if isinstance(extra, dict) and isinstance(names := extra.get("enum"), list):
        return ", ".join(f"`{name}`" for name in names)
    return ", ".join([type_name(field.annotation), *bounds])


def type_name(annotation: Any) -> str:
    """Return a type in the words of TOML."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(each) for each in arguments if each is not types.NoneType)
    if origin is tuple:
        return f"list of {type_name(arguments[0])}"
    if origin in (dict, Mapping):
        return f"table of {type_name(arguments[1])}"
    return {str: "text", int: "integer", float: "number", bool: "true or false", Any: "any value"}[annotation]


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "empty"
    if field.default is None:
        return "none"
    if isinstance(field.default, tuple):
        return "`[" + ", ".join(f'"{value}"' for value in field.default) + "]`"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if field.default != "" else "empty"


if __name__ == "__main__":
    sys.stdout.write(reference())
