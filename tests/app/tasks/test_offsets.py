"""Offsets in code points, in UTF-16 and in bytes, of texts on which they differ."""

from __future__ import annotations

import pytest

from app.tasks.ner import NerRequest
from app.tasks.offsets import positions
from tests.app.tasks.test_ner import answer, by_token, make_task

CODECS = {"utf16": ("utf-16-le", 2), "utf8": ("utf-8", 1)}
TEXTS = [
    "Ada",
    "é",
    "Zoe\u0308 in Köln",
    "👋 Ada 👩‍👩‍👧‍👦 Bob 🇫🇷",
    "北京 𠮷野家 \U0001d49cda",
    "\ufeffAda\u200b",
    "العربية Bob",
]


def length_in(unit, text):
    codec, size = CODECS[unit]
    return len(text.encode(codec)) // size


@pytest.mark.parametrize("unit", CODECS)
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_every_position_is_the_length_of_what_stands_before(text, unit):
    expected = [length_in(unit, text[:end]) for end in range(len(text) + 1)]
    found = positions(text, unit)
    assert (list(range(len(text) + 1)) if found is None else found.tolist()) == expected
    assert positions(text, "code_point") is None


@pytest.mark.parametrize("strategy", ["none", "simple", "first"])
@pytest.mark.parametrize("unit", CODECS)
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_an_entity_is_what_stands_between_its_offsets_in_the_unit_that_was_asked_for(text, unit, strategy, encoder):
    parameters = {"aggregation_strategy": strategy, "ignore_labels": [], "offset_unit": unit}
    (found,) = answer(
        make_task(encoder), NerRequest.model_validate({"inputs": [text], "parameters": parameters}), by_token()
    )
    codec, size = CODECS[unit]
    encoded = text.encode(codec)
    assert found
    for entity in found:
        assert encoded[entity["start"] * size : entity["end"] * size].decode(codec) == entity["word"]
