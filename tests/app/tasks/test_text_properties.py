"""Offsets, pieces and windows of texts that hypothesis makes up, with each kind of tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.tasks.text import cut

ENCODERS = ["encoder", "bert_encoder", "xlmr_encoder"]
PIECES = [
    *(
        "Paris",
        "is",
        "good",
        "a",
        "<mask>",
        "[MASK]",
        "🙂",
        "e\u0301",
        "\u202e",
        "\u3000",
        "ﬁ",
        "İ",
        "\n",
        "  ",
        "漢字",
    ),
    "\x00",
]
TEXT = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=80).map(" ".join)
ONCE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.data())
@ONCE
def test_offsets_are_ranges_of_the_text_as_sent(name, data, request):
    encoder = request.getfixturevalue(name)
    texts = data.draw(st.lists(TEXT, min_size=1, max_size=3))
    for text, encoded in zip(texts, encoder.encode(texts), strict=True):
        offsets = encoded.offsets()
        assert len(offsets) == len(encoded.ids)
        before = 0
        for start, end in offsets.tolist():
            assert 0 <= start <= end <= len(text)
            assert start >= before or start == end, "tokens go back in the text"
            before = max(before, start)
            word = text[start:end]
            assert word == word.strip() or not word.strip()


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.data())
@ONCE
def test_a_text_is_encoded_alike_alone_and_among_others(name, data, request):
    encoder = request.getfixturevalue(name)
    texts = data.draw(st.lists(TEXT, min_size=1, max_size=3))
    together = encoder.encode(texts)
    for text, encoded in zip(texts, together, strict=True):
        (alone,) = encoder.encode([text])
        assert (alone.ids, alone.pieces) == (encoded.ids, encoded.pieces)
        assert alone.offsets().tolist() == encoded.offsets().tolist()


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.data())
@ONCE
def test_windows_hold_every_token_once_at_home(name, data, request):
    encoder = request.getfixturevalue(name)
    text = data.draw(TEXT.map(lambda text: text * 5))
    (encoded,) = encoder.encode([text])
    answered = []
    for piece in encoded.pieces:
        rows = encoder.home_rows(piece)
        window = encoder.window(encoded.ids, piece, rows)
        assert len(window) <= encoder.max_length
        answered += window.input_ids[rows].tolist()
    assert answered == list(encoded.ids)


@given(tokens=st.integers(0, 2000), capacity=st.integers(2, 510), share=st.floats(0, 0.5))
@example(tokens=3, capacity=2, share=0.5)
def test_pieces_cover_a_text(tokens, capacity, share):
    pieces = cut(tokens, capacity, int(capacity * share))
    assert [piece.home_start for piece in pieces[1:]] == [piece.home_end for piece in pieces[:-1]]
    assert (pieces[0].home_start, pieces[-1].home_end) == (0, tokens)
    for piece in pieces:
        assert piece.start <= piece.home_start <= piece.home_end <= piece.end <= tokens
        assert piece.end - piece.start <= capacity
