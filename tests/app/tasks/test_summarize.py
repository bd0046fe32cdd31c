"""Summaries are sentences of the text: the nearest to it, unlike each other, in order, at their offsets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from huggingface_hub.inference._generated.types import SummarizationOutput
from pydantic import ValidationError

from app.tasks.sentences import sentences_of
from app.tasks.summarize import EXAMPLE, SummarizeParameters, SummarizeRequest, choose, summary_of

TEXT = "The soup was cold. Our waiter was kind. The soup was cool. A pool."
VECTORS = np.array([[1.0, 0, 0], [0.9, 0.43589, 0], [0.8, 0, 0.6], [0.9, 0.43, 0.07], [0.1, 0.1, 0.99]])


def test_what_repeats_a_chosen_sentence_is_left_out():
    summary = summary_of(TEXT, list(sentences_of(TEXT)), VECTORS, 2)
    assert summary["summary_text"] == "The soup was cold. Our waiter was kind."
    assert [TEXT[each["start"] : each["end"]] for each in summary["sentences"]] == [
        each["text"] for each in summary["sentences"]
    ]
    assert SummarizationOutput.parse_obj_as_list([summary])[0].summary_text == summary["summary_text"]


def test_all_sentences_are_the_text():
    assert choose(VECTORS[1:] @ VECTORS[0], VECTORS[1:] @ VECTORS[1:].T, 4) == [0, 1, 2, 3]
    assert summary_of("word", [(0, 4)], VECTORS[:2], 1)["summary_text"] == "word"


@pytest.mark.parametrize(
    ("parameters", "count"), [({}, 3), ({"sentences": 5}, 5), ({"sentences": 99}, 10), ({"ratio": 0.25}, 3)]
)
def test_how_much_is_kept(parameters, count):
    assert SummarizeParameters(**parameters).count(10) == count
    assert SummarizeParameters(**parameters).count(1) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"inputs": ""}, "the text is empty"),
        ({"parameters": {"max_length": 50}}, "nothing is generated here"),
        ({"parameters": {"generate_parameters": {"min_length": 5}}}, "by `sentences` or `ratio`"),
        ({"parameters": {"sentences": 1, "ratio": 0.5}}, "send one of them"),
        ({"parameters": {"ratio": 0}}, "greater than 0"),
    ],
)
def test_what_is_wrong_is_said(fields, reason):
    with pytest.raises(ValidationError, match=reason):
        SummarizeRequest.model_validate_json(json.dumps(EXAMPLE | fields))
