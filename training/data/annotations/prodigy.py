"""Prodigy: JSONL with `spans`, with the options that were accepted, or with a label and whether it fits."""

from __future__ import annotations

from collections.abc import Iterator

from training.config import DataConfig
from training.data.annotations.base import Annotated, Tool, Values, choices_of, marks_of, text_in

ANSWERS = ("accept", "reject", "ignore")


class Prodigy(Tool):
    name = "Prodigy"
    verdict = "answer"

    def recognizes(self, values: Values) -> bool:
        has_verdict = values.get("answer") in ANSWERS and any(key in values for key in ("spans", "accept", "label"))
        return has_verdict or "_input_hash" in values or "_task_hash" in values

    def read(self, values: Values, data: DataConfig) -> Iterator[Annotated]:
        """Yield the text unless it was skipped; a label that was refused says nothing of what would fit."""
        if values.get("answer", "accept") != "accept":
            return
        text = text_in({"text": values.get("text")} if data.text_column == "text" else values, data)
        if isinstance(values.get("accept"), list):
            yield Annotated(text, None, choices_of(values["accept"]))
        elif "spans" in values:
            yield Annotated(text, marks_of(values["spans"]))
        elif "label" in values:
            yield Annotated(text, None, choices_of(values["label"]))
        else:
            yield Annotated(text, ())
