"""From text to windows: pieces, offsets in code points, and what each kind of tokenizer puts around a text."""

import itertools

import numpy as np
import pytest

from app.errors import InvalidRequestError
from app.tasks.text import Piece, cut, solid_characters
from tests.app.builders import make_encoder, wordpiece_tokenizer

# --- Pieces ---------------------------------------------------------------------------------------------

SIZES = [
    (tokens, capacity, overlap)
    for capacity in (1, 2, 7, 16)
    for overlap in {0, 1, capacity // 4, capacity - 1}
    if overlap < capacity
    for tokens in range(80)
]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, [Piece(0, 0, 0, 0)]),
        (8, [Piece(0, 8, 0, 8)]),
        (9, [Piece(0, 8, 0, 4), Piece(1, 9, 4, 9)]),
        (20, [Piece(0, 8, 0, 7), Piece(6, 14, 7, 13), Piece(12, 20, 13, 20)]),
    ],
)
def test_pieces_by_hand(tokens, expected):
    assert cut(tokens, 8, 2) == expected


def test_pieces_tile_the_text_within_their_capacity():
    for tokens, capacity, overlap in SIZES:
        pieces = cut(tokens, capacity, overlap)
        homes = [token for piece in pieces for token in range(piece.home_start, piece.home_end)]
        assert homes == list(range(tokens))
        assert all(piece.end - piece.start == min(tokens, capacity) for piece in pieces)
        assert all(piece.start <= piece.home_start <= piece.home_end <= piece.end for piece in pieces)


def test_consecutive_pieces_share_at_least_the_overlap():
    for tokens, capacity, overlap in SIZES:
        pieces = cut(tokens, capacity, overlap)
        assert all(b.start > a.start and a.end - b.start >= overlap for a, b in itertools.pairwise(pieces))
        if len(pieces) > 1:
            assert len(pieces) <= 2 + (tokens - capacity) / (capacity - overlap)  # and no more of them than needed


def test_a_token_is_at_home_where_it_has_most_context():
    def context(piece, token, tokens):
        """The least number of neighbors on a side that was cut off."""
        left = token - piece.start if piece.start > 0 else tokens
        right = piece.end - 1 - token if piece.end < tokens else tokens
        return min(left, right)

    for tokens, capacity, overlap in SIZES:
        pieces = cut(tokens, capacity, overlap)
        for home in pieces:
            for token in range(home.home_start, home.home_end):
                best = max(context(p, token, tokens) for p in pieces if p.start <= token < p.end)
                assert context(home, token, tokens) >= best - 1  # a tie of an even overlap may go either way


# --- Special tokens -------------------------------------------------------------------------------------


def test_special_tokens_of_roberta(encoder):
    assert encoder.special == ([0], [2], [0], [2, 2], [2], 0)
    assert encoder.capacity == 62


def test_special_tokens_of_bert(bert_encoder):
    assert bert_encoder.special == ([2], [3], [2], [3], [3], 1)


def test_special_tokens_of_xlm_roberta(xlmr_encoder):
    assert xlmr_encoder.special == ([0], [2], [0], [2, 2], [2], 0)


def test_special_tokens_of_a_tokenizer_that_has_none(tmp_path):
    tokenizer = wordpiece_tokenizer()
    tokenizer.post_processor = None
    encoder = make_encoder(tokenizer, tmp_path, max_length=8)
    assert (encoder.special.prefix, encoder.special.suffix, encoder.capacity) == ([], [], 8)


def test_truncation_and_padding_saved_with_a_tokenizer_are_not_obeyed(tmp_path):
    tokenizer = wordpiece_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=10)
    (text,) = make_encoder(tokenizer, tmp_path).encode(["a " * 30])
    assert len(text.ids) == 30


@pytest.mark.parametrize("text", ["a good film", " Ada  met\nBob", "é", "\u200b"])
def test_a_window_is_what_transformers_makes_of_the_text(text, encoder, tokenizer):
    (encoded,) = encoder.encode([text])
    window = encoder.window(encoded.ids, encoded.pieces[0], np.zeros(1, np.int64))
    assert window.input_ids.tolist() == tokenizer(text)["input_ids"]
    assert window.token_type_ids is None


# --- Offsets --------------------------------------------------------------------------------------------

TEXTS = [
    "a good film",
    "  leading and trailing  ",
    "café São Paulo",
    "cafe\u0301 in NFD",
    "😀 a 👍🏽 film 😀",
    "👩\u200d👩\u200d👧\u200d👦 family",
    "line\none\r\nline two\n",
    "東京は大きい。 Paris",
    "a\tb\t\tc",
    "a\u00a0b\u3000c",
    "a\x00b",
    "   ",
    "x" * 200,
    "🇫🇷🇧🇷",
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("kind", ["encoder", "bert_encoder", "xlmr_encoder"])
def test_offsets_are_code_points_without_white_space_at_the_ends(kind, text, request):
    (encoded,) = request.getfixturevalue(kind).encode([text])
    offsets = encoded.offsets()
    assert offsets.shape == (len(encoded.ids), 2)
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    assert (np.diff(offsets[:, 0]) >= 0).all()
    covered = set()
    for start, end in offsets:
        assert text[start:end] == text[start:end].strip()
        covered |= set(range(start, end))
    if kind != "bert_encoder":  # BERT's normalizer drops control characters
        assert covered >= {i for i, character in enumerate(text) if character.isalnum() or character in "😀👍👩"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada met Bob", ["Ada", "met", "Bob"]),
        (" Ada\nmet\tBob ", ["Ada", "met", "Bob"]),
        ("😀 Ada 👍🏽 Bob", ["😀", "Ada", "👍🏽", "Bob"]),
        ("São\u00a0Paulo é", ["São", "Paulo", "é"]),
        ("東京 Paris", ["東京", "Paris"]),
    ],
)
def test_words_are_found_where_they_stand(text, expected, encoder):
    """The tokens of each word, joined by their offsets, are the word."""
    (encoded,) = encoder.encode([text])
    words = {}
    for word, (start, end) in zip(encoded.words.tolist(), encoded.offsets(), strict=True):
        if start < end:
            first, last = words.get(word, (start, end))
            words[word] = (min(first, start), max(last, end))
    assert [text[start:end] for start, end in words.values()] == expected


def test_white_space_is_what_python_says():
    text = "".join(chr(point) for point in range(0x110000))
    assert solid_characters(text).tolist() == [point for point, character in enumerate(text) if not character.isspace()]


def test_a_text_of_no_tokens_has_no_offsets(bert_encoder):
    (encoded,) = bert_encoder.encode(["\u200b"])
    assert encoded.offsets().shape == (0, 2)
    assert encoded.pieces == [Piece(0, 0, 0, 0)]


# --- Long texts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def short_encoder(byte_level, tmp_path_factory):
    """Windows of ten tokens, eight of them the text's."""
    return make_encoder(byte_level, tmp_path_factory.mktemp("short"), max_length=10)


def test_windows_show_the_whole_text_and_their_homes_tile_it(short_encoder):
    (text,) = short_encoder.encode(["a good film " * 12])
    homes = []
    for piece in text.pieces:
        window = short_encoder.window(text.ids, piece, short_encoder.home_rows(piece))
        assert len(window) == 10
        assert (window.input_ids[0], window.input_ids[-1]) == (0, 2)
        homes += window.input_ids[window.head_rows].tolist()
    assert homes == text.ids


def test_truncate_keeps_the_first_window(short_encoder):
    (text,) = short_encoder.encode(["a good film " * 12], truncate=True)
    assert text.pieces == [Piece(0, 8, 0, 8)]  # all of it is answered


@pytest.mark.parametrize("overlap", [0, 3, 4])
def test_the_overlap_is_the_callers(overlap, short_encoder):
    (text,) = short_encoder.encode(["a good film " * 12], overlap=overlap)
    assert text.pieces[0].end - text.pieces[1].start == overlap


@pytest.mark.parametrize("overlap", [5, 100])
def test_an_overlap_of_more_than_half_a_window_is_refused(overlap, short_encoder):
    with pytest.raises(InvalidRequestError, match=r"parameters\.stride must be at most 4"):
        short_encoder.encode(["a"], overlap=overlap)


@pytest.mark.parametrize("kind", ["encoder", "bert_encoder", "xlmr_encoder"])
def test_without_offsets_the_tokens_and_pieces_are_the_same(kind, request):
    encoder = request.getfixturevalue(kind)
    texts = ["Paris is good.", "", "  caf\u00e9 \U0001f600\n", "a good play " * 100]
    fast, exact = encoder.encode(texts, with_offsets=False), encoder.encode(texts)
    assert [(e.ids, e.pieces) for e in fast] == [(e.ids, e.pieces) for e in exact]


def test_several_texts_are_encoded_as_each_is_by_itself(short_encoder):
    texts = ["a good film", "Ada " * 30, "é"]
    together = short_encoder.encode(texts)
    for text, encoded in zip(texts, together, strict=True):
        (single,) = short_encoder.encode([text])
        assert (encoded.text, encoded.ids, encoded.pieces) == (text, single.ids, single.pieces)
