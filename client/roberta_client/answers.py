"""What the service answers to one text."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Label(TypedDict):
    label: str
    score: float


class Entity(TypedDict):
    """`text[start:end]` is `word`; `entity_group` is `entity` where tokens were not put together."""

    entity_group: NotRequired[str]
    entity: NotRequired[str]
    score: float
    word: str
    start: int
    end: int


class Candidate(TypedDict):
    score: float
    token: int
    token_str: str
    sequence: str


class Answer(TypedDict):
    score: float
    answer: str
    start: int
    end: int


class Summary(TypedDict):
    summary_text: str
    sentences: list[dict[str, Any]]
