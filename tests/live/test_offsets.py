"""Offsets are code points of the text as sent, and a word is exactly the text between them."""

from __future__ import annotations

from itertools import pairwise

import pytest

STRATEGIES = ["none", "simple", "first", "average", "max"]
TEXTS = {
    "plain": "Ada Byron met Bob in Paris and Rome .",
    "accents": "Élodie Dupré lives in São Paulo, near the Café Müller.",
    "combining marks": "Zoe\u0308 and E\u0301lodie in Sa\u0303o Paulo",
    "emoji": "👋 Ada 🎉🎉 Bob 🙂",
    "joined emoji": "👩‍👩‍👧‍👦 Ada Byron 🧑🏽‍🚀 met Bob in Paris 🇫🇷🏳️‍🌈!",
    "newlines": "Ada\nByron\r\n\tmet\n\n\nBob\rin Paris\n",
    "leading spaces": "   Ada  Byron   in    Rome   ",
    "odd spaces": "\u00a0Ada\u00a0Byron\u2003in\u2028Rome\u3000",
    "invisible": "\ufeffAda\u200bByron\u200d in\u00adRome\x00",
    "CJK": "北京 和 東京、Ada 去 서울。韓国",
    "right to left": "التقت Ada بـ Bob في باريس",
    "beyond the basic plane": "\U0001d49cda 𐍈 𠮷野家 Bob",
    "punctuation": "(\"Ada\", [Bob]; 'Paris'...)",
    "special tokens": "Ada </s> Bob <pad> Paris <unk>",
    "longer than a window": "Ada Byron — São Paulo 🙂\n" * 40,
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("service", ["tiny_here", "tiny_several", "shipped"])
def test_a_word_is_the_text_between_its_offsets(service, text, strategy, request):
    client = request.getfixturevalue(service).client
    parameters = {"aggregation_strategy": strategy, "ignore_labels": []}

    entities = client.post("/ner", json={"inputs": text, "parameters": parameters}).json()

    assert entities
    for entity in entities:
        assert 0 <= entity["start"] < entity["end"] <= len(text)
        assert entity["word"] == text[entity["start"] : entity["end"]] == entity["word"].strip()
    for one, other in pairwise(entities):
        if strategy in ("none", "simple"):  # tokens: a byte-level tokenizer has several for one rare character
            assert one["start"] <= other["start"]
            assert one["end"] <= other["end"]
        else:
            assert one["end"] <= other["start"]


PEOPLE_AND_PLACES = [
    ("Angela Merkel met Emmanuel Macron in Paris.", ["PER Angela Merkel", "PER Emmanuel Macron", "LOC Paris"]),
    ("  Angela Merkel\nflew to Berlin.", ["PER Angela Merkel", "LOC Berlin"]),
    ("🇩🇪 Angela Merkel 👩‍💼 lives in Berlin.", ["PER Angela Merkel", "LOC Berlin"]),
    ("Penélope Cruz was born in Spain.", ["PER Penélope Cruz", "LOC Spain"]),
    ("Barack Obama spoke to Google in California.", ["PER Barack Obama", "ORG Google", "LOC California"]),
]


@pytest.mark.parametrize(("text", "expected"), PEOPLE_AND_PLACES)
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_the_shipped_model_finds_exactly_the_names(shipped, text, expected, strategy):
    parameters = {"aggregation_strategy": strategy}

    entities = shipped.client.post("/ner", json={"inputs": text, "parameters": parameters}).json()

    assert [f"{entity['entity_group']} {text[entity['start'] : entity['end']]}" for entity in entities] == expected
