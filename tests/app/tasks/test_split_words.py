"""Texts that come as their words: grouped by these words, with offsets into the joined text."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequestError
from tests.app.tasks.test_ner import answer, by_token, make_request, make_task

WORDS = ["Ada-Byron", "can't", "see", "U.S.A.", "👋", "Paris"]


def find(encoder, inputs, strategy="first", **parameters):
    return answer(make_task(encoder), make_request(inputs, strategy, ignore_labels=[], **parameters), by_token())


@pytest.mark.parametrize("kind", ["encoder", "bert_encoder", "xlmr_encoder"])
@pytest.mark.parametrize("strategy", ["first", "average", "max"])
def test_words_stay_whole_and_offsets_are_those_of_the_joined_text(kind, strategy, request):
    encoder, text = request.getfixturevalue(kind), " ".join(WORDS)
    found = find(encoder, WORDS, strategy, is_split_into_words=True)
    borders = {0, len(text)}
    for at, word in enumerate(WORDS):
        start = len(" ".join(WORDS[:at])) + (at > 0)
        borders |= {start, start + len(word)}
    for entity in found:
        assert entity["word"] == text[entity["start"] : entity["end"]]
        assert {entity["start"], entity["end"]} <= borders


def test_tokens_are_those_of_the_joined_text(encoder):
    assert find(encoder, WORDS, "none", is_split_into_words=True) == find(encoder, " ".join(WORDS), "none")
    assert find(encoder, WORDS, "simple", is_split_into_words=True) == find(encoder, " ".join(WORDS), "simple")


def test_lists_of_words_are_understood_and_may_stand_beside_texts(encoder):
    one = find(encoder, WORDS, is_split_into_words=True)
    assert find(encoder, [WORDS, "Ada Byron"]) == [one, find(encoder, "Ada Byron")]
    assert find(encoder, [WORDS], is_split_into_words=True) == [one]
    assert len(find(encoder, WORDS)) == len(WORDS)  # each a text


def test_words_may_be_joined_by_something_else(encoder):
    found = find(encoder, ["北京", "和", "東京"], is_split_into_words=True, delimiter="")
    assert found[-1]["end"] == len("北京和東京")
    assert find(encoder, ["a", "b"], is_split_into_words=True, delimiter=None)[-1]["end"] == 3


def test_words_are_one_input_and_all_their_characters_count():
    request = make_request(["Ada", "met", "Bob"], is_split_into_words=True)
    assert (request.count_inputs(), request.count_characters()) == (1, 11)
    request = make_request([["Ada", "met"], "Bob"])
    assert (request.count_inputs(), request.count_characters()) == (2, 10)


def test_a_text_is_no_list_of_words(encoder):
    with pytest.raises(
        InvalidRequestError, match=r"^inputs: must be a list of words where is_split_into_words is true"
    ):
        find(encoder, "Ada met Bob", is_split_into_words=True)
