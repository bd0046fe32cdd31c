"""spaCy: a Doc as JSON, version 2's training format, and the pairs of a text and its entities of its tutorials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from training.config import DataConfig
from training.data.annotations.base import Annotated, MalformedError, Mark, Tool, Values, are_marks, marks_of, text_in

THRESHOLD = 0.5  # from which on a category applies


class Spacy(Tool):
    name = "spaCy"

    def recognizes(self, values: Values) -> bool:
        entities = values.get("ents", values.get("entities"))
        is_text = isinstance(values.get("text"), str)
        is_doc = is_text and (are_marks(entities) or isinstance(values.get("cats"), dict | list))
        return is_doc or isinstance(values.get("paragraphs"), list)

    def read(self, values: Values, data: DataConfig) -> Iterator[Annotated]:
        if "paragraphs" in values:
            paragraphs: Any = values["paragraphs"]
            for each in paragraphs:
                if not isinstance(each, dict):
                    raise MalformedError("a paragraph is no object")
                yield of_paragraph(each)
            return
        entities = values.get("ents", values.get("entities"))
        choices = categories(values["cats"]) if values.get("cats") else None
        marks = None if entities is None else marks_of(entities)
        yield Annotated(text_in(values, data) if data.text_column in values else str(values["text"]), marks, choices)


def categories(cats: object) -> tuple[str, ...]:
    """Return the categories that apply, of {name: score} or [{"label", "value"}]."""
    if isinstance(cats, list):
        cats = {each.get("label"): each.get("value") for each in cats if isinstance(each, dict)}
    if not isinstance(cats, Mapping):
        raise MalformedError("`cats` holds no categories with scores")
    scores = {str(name): score for name, score in cats.items() if isinstance(score, int | float)}
    return tuple(name for name, score in scores.items() if score >= THRESHOLD)


def of_paragraph(paragraph: Mapping[str, Any]) -> Annotated:
    """Return the text of a paragraph, with the entities that the BILOU tags of its tokens mark."""
    sentences = paragraph.get("sentences")
    tokens = [token for each in sentences or () if isinstance(each, dict) for token in each.get("tokens") or ()]
    if not all(isinstance(token, dict) and isinstance(token.get("orth"), str) for token in tokens):
        raise MalformedError("a token has no `orth`")
    raw = paragraph.get("raw")
    text = raw if isinstance(raw, str) else " ".join(token["orth"] for token in tokens)
    choices = categories(paragraph["cats"]) if paragraph.get("cats") else None
    return Annotated(text, tuple(marks_in(text, tokens)), choices)


def marks_in(text: str, tokens: list[dict[str, Any]]) -> Iterator[Mark]:
    """Yield the entities of tokens, each found in the text after the one before it."""
    position, start, kind = 0, 0, ""
    for token in tokens:
        begin = text.find(token["orth"], position)
        if begin < 0:
            raise MalformedError(f"the token {token['orth'][:40]!r} does not stand in the text")
        position = begin + len(token["orth"])
        place, _, name = str(token.get("ner") or "O").partition("-")
        if place in ("B", "U", "S"):
            start, kind = begin, name
        if place in ("L", "U", "E", "S") and kind:
            yield Mark(start, position, kind)
            kind = ""
