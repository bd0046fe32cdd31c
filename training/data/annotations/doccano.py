"""doccano, and the plain form that many share: a text beside a list of spans.

`label` or `labels`: [[0, 5, "PER"]] of versions until 1.8 and of most today; `entities` with offsets of its exports
with relations; `annotations` with the ids of labels, of its first exports, which say nothing of what they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.config import DataConfig
from training.data.annotations.base import (
    Annotated,
    MalformedError,
    Tool,
    Values,
    are_marks,
    first_of,
    marks_of,
    text_in,
)
from training.data.cells import spans_in

KEYS = ("label", "labels", "entities", "annotations", "spans")


class Doccano(Tool):
    name = "doccano"
    is_general = True

    def recognizes(self, values: Values) -> bool:
        return any(
            isinstance(spans := spans_in(values[key]), list) and bool(are_marks(spans) or are_numbered(spans))
            for key in KEYS
            if key in values
        ) and any(isinstance(each, str) for each in values.values())

    def read(self, values: Values, data: DataConfig) -> Iterator[Annotated]:
        found = spans_in(first_of(values, [key for key in KEYS if are_marks(spans_in(values.get(key)))]))
        if found is None:
            raise MalformedError("labels are numbers without names; export it as JSONL with the texts of labels")
        yield Annotated(text_in(values, data), marks_of(found))


def are_numbered(values: list[object]) -> bool:
    """Say whether spans have the ids of their labels alone."""
    return bool(values) and all(
        isinstance(each, dict) and "start_offset" in each and isinstance(each.get("label"), int) for each in values
    )
