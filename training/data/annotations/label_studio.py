"""Label Studio: JSON (tasks with annotations), JSON-MIN and CSV (a row for each annotation).

Offsets of its spans count UTF-16 code units; each span says what stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.config import DataConfig
from training.data.annotations.base import (
    Annotated,
    MalformedError,
    Mark,
    Tool,
    Values,
    are_marks,
    choices_of,
    mark_of,
    marks_of,
    text_in,
)
from training.data.cells import CHOICES, spans_in, unfolded

# What a row of JSON-MIN says of itself beside the data and the answers.
OWN = frozenset(
    {
        *("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "completed_by", "agreement"),
        *("inner_id", "total_annotations", "project", "meta", "ref_id", "predictions", "comments", "drafts"),
    }
)


class LabelStudio(Tool):
    name = "Label Studio"

    def recognizes(self, values: Values) -> bool:
        return (isinstance(values.get("data"), dict) and isinstance(annotations_of(values), list)) or is_short(values)

    def read(self, values: Values, data: DataConfig) -> Iterator[Annotated]:
        if is_short(values):
            yield short(values, data)
            return
        fields: Any = values["data"]
        text = text_in(fields, data)
        for each in annotations_of(values) or ():
            if isinstance(each, dict) and not each.get("was_cancelled") and not each.get("skipped"):
                yield Annotated(text, *answers_of(each.get("result")))
                return  # what the others say of the same text would count it twice


def annotations_of(values: Values) -> Any:
    return values.get("annotations", values.get("completions"))


def answers_of(result: object) -> tuple[tuple[Mark, ...] | None, tuple[str, ...] | None]:
    """Return the spans and the choices among the parts of an annotation, relations and the like left out."""
    if not isinstance(result, list):
        raise MalformedError("an annotation has no list `result`")
    marks: list[Mark] = []
    choices: list[str] = []
    has_choices = False
    for part in result:
        value = part.get("value") if isinstance(part, dict) else None
        if not isinstance(value, dict):
            continue
        if CHOICES in value:
            has_choices = True
            choices += choices_of(value[CHOICES])
        elif "start" in value and ("labels" in value or "hypertextlabels" in value):
            kinds = value.get("labels", value.get("hypertextlabels"))
            marks.append(mark_of({**value, "label": kinds}))
    return tuple(marks) if marks or not has_choices else None, tuple(choices) if has_choices else None


def is_short(values: Values) -> bool:
    """Say whether a row is of JSON-MIN or of the CSV export."""
    return "annotation_id" in values and ("lead_time" in values or "annotator" in values)


def short(values: Values, data: DataConfig) -> Annotated:
    fields = {key: value for key, value in values.items() if key not in OWN}
    spans = {key: found for key, value in fields.items() if (found := spans_in(value)) and are_marks(found)}
    if spans:
        rest = {key: value for key, value in fields.items() if key not in spans}
        return Annotated(text_in(rest, data), marks_of(next(iter(spans.values()))))
    if data.text_column not in fields:
        raise MalformedError(f"no text {data.text_column!r}; set data.text_column")
    answers = {key: value for key, value in fields.items() if key != data.text_column}
    wanted = [data.label_column] if data.label_column else [key for key in ("label", "labels") if key in answers]
    key = (wanted or list(answers) or [""])[0]
    if key not in answers:
        return Annotated(text_in(fields, data), ())
    if not wanted and len(answers) > 1:
        found = ", ".join(map(repr, answers))
        raise MalformedError(f"several fields may be the answer, {found}; set data.label_column")
    return Annotated(text_in(fields, data), (), choices_of(unfolded(answers[key])))
