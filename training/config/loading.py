"""Reads recipes from TOML, applies overrides, and says in one sentence what is wrong with them."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from training.config.base import RecipeError

R = TypeVar("R", bound=BaseModel)


def load_recipe(kind: type[R], path: Path | None, overrides: Mapping[str, object] | None = None) -> R:
    """Read a TOML recipe of a kind and apply dotted overrides such as `{"training.epochs": "3"}`.

    A text among the overrides is read as TOML, or taken as it is where it is not TOML or the field is a text.
    Without a `path` the overrides are the recipe. Raises `RecipeError` when the file cannot be read, a key is
    unknown or a value is out of bounds.
    """
    tree: dict[str, Any] = {} if path is None else read(path)
    for key, value in (overrides or {}).items():
        set_field(tree, key, typed(value, field_of(kind, key)) if isinstance(value, str) else value)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        where = f"{path}: " if path else ""
        raise RecipeError(f"{where}{sentence(error, kind)}") from error


def known_keys(kind: type[BaseModel]) -> list[str]:
    """Return every dotted key that a recipe of a kind may hold, sections before their fields."""
    return list(keys(kind))


def section_of(annotation: object) -> type[BaseModel] | None:
    """Return the section that a field holds, optional or not; None for a plain value."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: the recipe cannot be read: {error}") from error


def keys(kind: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in kind.model_fields.items():
        yield prefix + name
        if section := section_of(field.annotation):
            yield from keys(section, f"{prefix}{name}.")


def set_field(tree: dict[str, Any], dotted: str, value: object) -> None:
    *sections, leaf = dotted.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if not isinstance(child, dict):
            raise RecipeError(f"{dotted}: {section} is a value, not a section")
        tree = child
    tree[leaf] = value


def field_of(kind: type[BaseModel], dotted: str) -> FieldInfo | None:
    """Return the field of a dotted key; None where there is none."""
    section: type[BaseModel] | None = kind
    field = None
    for name in dotted.split("."):
        field = section.model_fields.get(name) if section else None
        section = section_of(field.annotation) if field else None
    return field


def typed(text: str, field: FieldInfo | None) -> object:
    """Read an override as TOML; one of a field of text is that text, unless it stands in quotation marks."""
    value = toml_value(text)
    takes_text_alone = field is not None and takes_only_text(field.annotation)
    return text if takes_text_alone and not isinstance(value, str) else value


def takes_only_text(annotation: object) -> bool:
    if get_origin(annotation) is Annotated:
        return takes_only_text(get_args(annotation)[0])
    kinds = get_args(annotation) if isinstance(annotation, UnionType) or get_origin(annotation) is Union else ()
    return annotation is str or (bool(kinds) and all(kind is NoneType or takes_only_text(kind) for kind in kinds))


def toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    """Say the first problem in one sentence, unknown keys before bad values (a typo causes both)."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in problems[0]["loc"])
    if problems[0]["type"] != "extra_forbidden":
        message = problems[0]["msg"].removeprefix("Value error, ")
        return f"{key + ': ' if key else ''}{message[0].lower()}{message[1:]}"
    nearest = difflib.get_close_matches(key, known_keys(kind), n=1, cutoff=0.0)
    return f"unknown key {key}; the nearest known key is {nearest[0]}"
