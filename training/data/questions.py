"""Questions about contexts with their answers, from the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from app.tasks.offsets import OffsetUnit, positions
from training.config import DataConfig
from training.data.cells import unfolded
from training.data.classification import no_column, text_of
from training.data.errors import DataError, Refuse, SpanError, stop
from training.data.formats import Row
from training.data.labels import number_of
from training.data.sample import sample
from training.data.sources import Source
from training.data.spelling import stands_for_none
from training.data.tables import rows

# What the columns of answers are usually called.
ANSWER_COLUMNS = ("answers", "answer", "answer_text")
START_COLUMNS = ("answer_start", "start", "answer_starts")
SHOWN = 40  # characters that an error shows
UNITS = {"utf16": "UTF-16 units", "utf8": "bytes"}

Place = tuple[str, int]  # an answer, and where it begins in the context, in code points


@dataclass(frozen=True)
class QuestionExample:
    """A question about a context, with the answers that people have given; none: it has no answer."""

    question: str
    context: str
    answers: tuple[Place, ...]


@dataclass(frozen=True)
class PlacedQuestion:
    """An example, and where it stands: FILE:LINE, or the like."""

    where: str
    example: QuestionExample


def read_questions(source: Source, data: DataConfig, limit: int | None = None, seed: int = 0) -> list[QuestionExample]:
    """Read the rows of a table, or a seeded sample of `limit` of them.

    Raises `DataError` on a row that cannot be used and on an empty table.
    """
    found = [each.example for each in placed_questions(source, data)]
    if not found:
        raise DataError(f"{source}: holds no examples; it needs a question and a context in each row")
    return sample(found, limit, seed, lambda example: ())


def placed_questions(source: Source, data: DataConfig, refuse: Refuse = stop) -> Iterator[PlacedQuestion]:
    """Yield the questions of a table; refuses rows without one, without a context, or with an answer elsewhere."""
    for row in rows(source, data, refuse):
        question = text_of(row, data.question_column, "question_column", refuse)
        context = text_of(row, data.context_column, "context_column", refuse)
        if question is None or context is None:
            continue
        try:
            answers = answers_of(row, context, data)
        except DataError as error:
            refuse(error)
            continue
        yield PlacedQuestion(row.where, QuestionExample(question, context, answers))


def answers_of(row: Row, context: str, data: DataConfig) -> tuple[Place, ...]:
    """Return the answers of a row, each at its place. Raises `DataError`."""
    column = data.answers_column or next((name for name in ANSWER_COLUMNS if name in row.values), None)
    if column is None or column not in row.values:
        raise no_column(row, repr(column or ANSWER_COLUMNS[0]), column or ANSWER_COLUMNS[0], "answers_column")
    value = row.values[column]
    if str(row.values.get("is_impossible")).strip().lower() in ("true", "1") or is_none(value, context):
        return ()
    starts = next((row.values[name] for name in (data.start_column, *START_COLUMNS) if name in row.values), None)
    given = paired(unfolded(value), unfolded(starts), row.where)
    return tuple(place_of(text, start, context, row.where) for text, start in given)


def paired(answers: object, starts: object, where: str) -> list[tuple[object, object]]:
    """Return each answer with its start: of one text, of lists of texts and of starts, or of objects with both."""
    if isinstance(answers, Mapping):  # as the Hub has them: lists of both
        return paired(answers.get("text"), answers.get("answer_start"), where)
    if answers is None:
        return []
    texts = answers if isinstance(answers, list) else [answers]
    objects = [each for each in texts if isinstance(each, Mapping)]
    if len(objects) == len(texts):
        return [(each.get("text"), each.get("answer_start", each.get("start"))) for each in objects]
    places = starts if isinstance(starts, list) else [starts]
    if len(places) != len(texts):
        raise DataError(f"{where}: {len(texts)} answers have {len(places)} starts; write one start for each answer")
    return list(zip(texts, places, strict=True))


def is_none(value: object, context: str) -> bool:
    """Whether a cell says that there is no answer: it is empty, or as programs write nothing and not in the context."""
    return isinstance(value, str) and (not value.strip() or (stands_for_none(value) and value.strip() not in context))


def place_of(text: object, start: object, context: str, where: str) -> Place:
    """Return an answer at its place; one without a start where it is there once. Raises `SpanError`."""
    if not isinstance(text, str) or not text.strip():
        raise SpanError(
            f"{where}: an answer must be a text that is not empty, found {text!r}; write it, or none at all"
        )
    number = None if start is None or (isinstance(start, str) and not start.strip()) else number_of(start)
    if number is None and not (start is None or str(start).strip() == ""):
        raise SpanError(f"{where}: the start of {shown(text)} is {start!r}, no number; count characters from 0")
    if number is None:
        if context.count(text) == 1:
            return text, context.index(text)
        times = f"{context.count(text)} times" if text in context else "not"
        raise SpanError(f"{where}: {shown(text)} has no start and is {times} in the context; write where it begins")
    begin = int(number)
    if begin != number or begin < 0 or context[begin : begin + len(text)] != text:
        raise SpanError(f"{where}: {shown(text)} is not at {start}{what_is_there(text, begin, context)}")
    return text, begin


def what_is_there(text: str, begin: int, context: str) -> str:
    """Say what stands where an answer should, and where the answer is."""
    there = f", {shown(context[begin : begin + len(text)])} is" if 0 <= begin < len(context) else ", behind the context"
    if (found := context.find(text)) < 0:
        return f"{there}; it is nowhere in the context: correct the one or the other"
    for unit in get_args(OffsetUnit):
        counts = positions(context, unit)
        if (
            counts is not None
            and begin < counts[-1]
            and text == context[(at := int(counts.searchsorted(begin))) :][: len(text)]
        ):
            return f"{there}; it is at {at}: count characters, not {UNITS[unit]}"
    return f"{there}; it is at {found}: count characters from 0"


def shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def stated(answers: Sequence[Place]) -> tuple[str, ...]:
    """Return the different texts of answers, sorted."""
    return tuple(sorted({text for text, _ in answers}))
