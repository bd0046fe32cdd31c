"""SQuAD's JSON, 1.1 and 2.0: articles of paragraphs, each with questions about it and their answers.

Rows are as the Hub has the same data: `id`, `question`, `context`, and `answers` with the lists `text` and
`answer_start`. Source: Rajpurkar et al. 2016, arXiv:1606.05250; 2018, arXiv:1806.03822.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from training.config import DataConfig, DataFormat
from training.data.errors import DataError, Refuse
from training.data.formats.base import Head, Row
from training.data.formats.jsonl import JsonLines

# Possessive, so that a file of white space takes no time that grows with its square.
NESTED = re.compile(rb'(?<!\\)"(?:qas"\s*+:\s*+\[|paragraphs"\s*+:\s*+\[\s*+\{\s*+"(?:context|qas)")')
START = re.compile(rb"\s*+(?:\xef\xbb\xbf\s*+)?[\[{]")


class Squad(JsonLines):
    """One object with all articles, an array of them, or an article or a paragraph on each line."""

    name: ClassVar[DataFormat] = "squad"

    def recognizes(self, head: Head) -> bool:
        return START.match(head.raw) is not None and NESTED.search(head.raw) is not None

    def dialect(self, path: Path, data: DataConfig) -> list[str]:
        return []

    def rows(self, path: Path, data: DataConfig, refuse: Refuse) -> Iterator[Row]:
        """Yield a row for each question; `where` counts the questions of the file, and has the id of each."""
        number = 0
        for row in super().rows(path, data, refuse):
            for paragraph in listed(row.values, "paragraphs", row.where, refuse):
                for question in listed(paragraph, "qas", row.where, refuse):
                    number += 1
                    known = f" (id {question['id']})" if question.get("id") else ""
                    title = {"title": row.values["title"]} if "title" in row.values else {}
                    yield Row(f"{path}:{number}{known}", title | values_of(paragraph, question))


def listed(whole: Mapping[str, Any], name: str, where: str, refuse: Refuse) -> list[dict[str, Any]]:
    """Return the objects in a list of an object; the object itself where it is what would be in such a list."""
    if name == "paragraphs" and name not in whole and "qas" in whole:
        return [dict(whole)]
    found = whole.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        refuse(DataError(f"{where}: {name!r} must be a list of objects; write the file as SQuAD has it"))
        return []
    return found


def values_of(paragraph: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, object]:
    answers = [] if question.get("is_impossible") is True else question.get("answers", [])
    more = {key: value for key, value in question.items() if key not in ("id", "question", "answers")}
    return more | {
        "id": question.get("id"),
        "question": question.get("question"),
        "context": paragraph.get("context"),
        "answers": answers,
    }
