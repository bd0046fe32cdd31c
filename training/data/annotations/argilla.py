"""Argilla: records of version 2, as JSON or flattened into a table, and of version 1, whose last had feedback too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from training.config import DataConfig
from training.data.annotations.base import (
    Annotated,
    MalformedError,
    Tool,
    Values,
    are_marks,
    choices_of,
    marks_of,
    text_in,
)

RESPONSES, STATUS, SUGGESTION = ".responses", ".responses.status", "-suggestion"
DISCARDED = ("discarded", "draft", "Discarded")
OWN = ("id", "status", "_server_id", "external_id", "metadata")
VERSION_1 = ("annotation_agent", "prediction_agent", "prediction", "annotation")


class Argilla(Tool):
    name = "Argilla"

    def recognizes(self, values: Values) -> bool:
        is_record = isinstance(values.get("fields"), dict) and "responses" in values
        is_flat = any(key.endswith((RESPONSES, SUGGESTION)) for key in values)
        return is_record or is_flat or ("annotation" in values and sum(key in values for key in VERSION_1) > 1)

    def read(self, values: Values, data: DataConfig) -> Iterator[Annotated]:
        if "annotation" in values and "responses" not in values:
            yield from of_version_1(values, data)
            return
        fields: Any = values.get("fields")
        flat = flat_responses(values) | feedback(values)
        answers = list(answered(flat if fields is None else nested_responses(values), data))
        if answers:
            shown = {key: value for key, value in values.items() if "." not in key and key not in OWN}
            yield of_answers(text_in(fields if isinstance(fields, dict) else shown, data), answers)


def of_version_1(values: Values, data: DataConfig) -> Iterator[Annotated]:
    if values["annotation"] is None or values.get("status") in DISCARDED:
        return
    inputs = values.get("inputs")
    text = text_in(inputs if isinstance(inputs, dict) else {"text": values.get("text")}, data)
    yield of_answers(text, [values["annotation"]])


def of_answers(text: str, answers: list[object]) -> Annotated:
    """Return a text with the spans that were marked first, or with the choice that most made."""
    spans = [each for each in answers if each != [] and are_marks(each)]
    if spans or all(each == [] for each in answers):
        return Annotated(text, marks_of(spans[0]) if spans else ())
    votes = Counter(choices_of(each) for each in answers)
    return Annotated(text, None, votes.most_common(1)[0][0])


def answered(responses: dict[str, list[object]], data: DataConfig) -> Iterator[object]:
    """Yield the answers to the question that the recipe names, or to the only one."""
    if not responses:
        return
    question = data.label_column or next((name for name in ("label", "labels") if name in responses), None)
    if question is None and len(responses) > 1:
        raise MalformedError(f"it has several questions, {', '.join(map(repr, responses))}; set data.label_column")
    yield from responses.get(question or next(iter(responses)), ())


def nested_responses(values: Values) -> dict[str, list[object]]:
    """Return the submitted answers to each question: of `{question: [{value, status}]}`, or a list of such values."""
    found: dict[str, list[object]] = {}
    responses = values["responses"]
    if isinstance(responses, list):
        for each in responses:
            if isinstance(each, dict) and each.get("status") not in DISCARDED and isinstance(each.get("values"), dict):
                for question, answer in each["values"].items():
                    found.setdefault(question, []).append(answer.get("value") if isinstance(answer, dict) else answer)
    elif isinstance(responses, dict):
        for question, answers in responses.items():
            given = [each for each in answers if isinstance(each, dict)] if isinstance(answers, list) else []
            kept = [each.get("value") for each in given if each.get("status") not in DISCARDED]
            if kept:
                found[question] = kept
    return found


def flat_responses(values: Values) -> dict[str, list[object]]:
    found = {}
    for key, answers in values.items():
        if key.endswith(RESPONSES) and isinstance(answers, list):
            question = key.removesuffix(RESPONSES)
            status: Any = values.get(question + STATUS)
            states = status if isinstance(status, list) else [None] * len(answers)
            kept = [each for each, state in zip(answers, states, strict=False) if state not in DISCARDED]
            if kept:
                found[question] = kept
    return found


def feedback(values: Values) -> dict[str, list[object]]:
    """Return the submitted answers of a question `q` beside `q-suggestion`: objects, or an object of lists."""
    found = {}
    for key in values:
        question = key.removesuffix(SUGGESTION)
        answers: Any = values.get(question) if key.endswith(SUGGESTION) else None
        if isinstance(answers, dict) and isinstance(answers.get("value"), list):
            states = answers.get("status") or [None] * len(answers["value"])
            answers = [{"value": one, "status": state} for one, state in zip(answers["value"], states, strict=False)]
        if isinstance(answers, list):
            given = [each for each in answers if isinstance(each, dict) and each.get("status") not in DISCARDED]
            if given:
                found[question] = [each.get("value") for each in given]
    return found
