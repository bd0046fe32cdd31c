"""Words of texts whose tokenizer knows none: what stands between white space, without the punctuation around it."""

import itertools

import pytest

from app.tasks.words import number_words


def words_in(text):
    solid = [i for i, character in enumerate(text) if not character.isspace()]
    groups = itertools.groupby(zip(number_words(text, solid), solid, strict=True), key=lambda pair: pair[0])
    return ["".join(text[i] for _, i in group) for _, group in groups]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada met Bob", ["Ada", "met", "Bob"]),
        ("I can't, Jean-Luc.", ["I", "can't", ",", "Jean-Luc", "."]),
        ("the U.S.A. (NATO)", ["the", "U.S.A", ".", "(", "NATO", ")"]),
        ("AT&T me@x.org", ["AT&T", "me@x.org"]),
        ("cafe\u0301 in Bogota\u0301!", ["cafe\u0301", "in", "Bogota\u0301", "!"]),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092e\u0947\u0902"],
        ),
        ("Paris\nRome  Oslo", ["Paris", "Rome", "Oslo"]),
        ("Paris/Rome\u2014Oslo", ["Paris", "/", "Rome", "\u2014", "Oslo"]),
        ("\u6771\u4eac Tokyo", ["\u6771", "\u4eac", "Tokyo"]),
        ("hi \U0001f469\u200d\U0001f469 x", ["hi", "\U0001f469\u200d\U0001f469", "x"]),
        ("...", ["..."]),
        ("", []),
    ],
    ids=ascii,
)
def test_words(text, words):
    assert words_in(text) == words


def test_a_token_belongs_to_the_word_in_which_it_starts():
    assert list(number_words("ab-cd ef", [0, 2, 3, 3, 6, 7])) == [1, 1, 1, 1, 2, 2]
