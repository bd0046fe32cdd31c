"""What a Hugging Face `config.json` says of a model."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.bundle.manifest import BundleError, ProblemType

MOST_LABELS = 100_000
UNNAMED = 2  # labels, where a config names none: transformers leaves its own two default names out


def labels_of(config: dict[str, Any]) -> list[str]:
    """Return labels in column order: of `id2label`, of `label2id`, or LABEL_0, LABEL_1, ... of `num_labels`.

    Without any of them there are two, as for transformers. Raises `BundleError` for columns that are not numbered.
    """
    id2label, label2id = config.get("id2label"), config.get("label2id")
    if isinstance(id2label, list):
        id2label = dict(enumerate(id2label))
    if id2label:
        return in_columns(id2label, "id2label")
    if label2id:
        is_one_to_one = isinstance(label2id, dict) and len(set(map(str, label2id.values()))) == len(label2id)
        inverse = {number: label for label, number in label2id.items()} if is_one_to_one else None
        return in_columns(inverse, "label2id")
    count = whole_number(config, "num_labels", UNNAMED)
    if not 1 <= count <= MOST_LABELS:
        raise BundleError(f"config.json's num_labels {count} is no number of labels; write the labels as id2label")
    return [f"LABEL_{number}" for number in range(count)]


def names_labels(config: dict[str, Any]) -> bool:
    """Whether a config says how many labels there are."""
    return any(config.get(key) for key in ("id2label", "label2id", "num_labels"))


def in_columns(labels: object, key: str) -> list[str]:
    """Return the labels of a table by the numbers of their columns."""
    if isinstance(labels, dict):
        named = {str(number): str(label) for number, label in labels.items()}
        if set(named) == {str(number) for number in range(len(labels))}:
            return [named[str(number)] for number in range(len(named))]
    raise BundleError(f"config.json's {key} must name the columns 0, 1, 2, ...")


def problem_type_of(config: dict[str, Any]) -> ProblemType:
    """Return the kind of classification. Raises `BundleError` when it is not one of transformers'."""
    problem_type = config.get("problem_type") or "single_label_classification"
    try:
        return TypeAdapter(ProblemType).validate_python(problem_type)
    except ValidationError as error:
        raise BundleError(f"config.json's problem_type {problem_type!r} is not known") from error


def whole_number(config: dict[str, Any], key: str, default: int | None = None) -> int:
    """Return a whole number of the config, or raise `BundleError` naming it."""
    value = config.get(key, default)
    if not isinstance(value, int):
        raise BundleError(f"config.json needs a whole number as {key}, not {value!r}")
    return value
