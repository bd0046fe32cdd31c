# ruff: noqa: RUF001
"""Sentences of several languages, with exact offsets: abbreviations, numbers, quotes, ideographs, lines and lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tasks.sentences import sentences_of


def split(text):
    return [text[start:end] for start, end in sentences_of(text)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["One."],
        ["word"],
        ["Dr. Smith met Mr. J. R. Jones at 5.30 p.m. in St. Louis.", "They left."],
        ["It cost $3.50, i.e. too much!", "Really?", "Yes..."],
        ['"Stop!" she said.', '"Why?"', "He ran."],
        ["Er kam am 3. Oktober, z. B. mit Dr. Weiß.", "Dann ging er."],
        ["¿Qué pasa?", "¡Nada!", "Sr. López vive aquí."],
        ["Il est arrivé.", "« Bonjour ! »", "M. Dupont sourit."],
        ["Он пришёл.", "Это правда?", "Да!"],
        ["هل هذا صحيح؟", "نعم."],
        ["यह सच है।", "हाँ।"],
        ["See example.com or 1.2.3 for more.", "It works."],
    ],
    ids=lambda sentences: sentences[0][:12],
)
def test_sentences_of_several_languages(sentences):
    assert split(" ".join(sentences)) == sentences


def test_ideographs_need_no_spaces():
    assert split("今天天气很好。我们去公园吧！「好的。」他说。") == [
        *("今天天气很好。", "我们去公园吧！", "「好的。」", "他说。"),
    ]


def test_paragraphs_and_lists_part_sentences_and_wrapped_lines_do_not():
    assert split("A heading\n\nIt is wrapped\nover two lines. Yes.") == [
        *("A heading", "It is wrapped\nover two lines.", "Yes."),
    ]
    assert split("To buy:\n- milk\n- bread\n1. eggs") == ["To buy:", "- milk", "- bread", "1. eggs"]


@given(st.text(st.sampled_from(list("aA1. \n!?。\"'-")), max_size=60))
def test_nothing_but_white_space_is_between_sentences(text):
    spans = list(sentences_of(text))
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
