"""Pairs of texts in one window: what stands between them, which of them is cut, and the offsets of both."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import InvalidRequestError
from app.tasks.text import TextEncoder
from tests.app.builders import make_encoder, wordpiece_tokenizer


def pairs(encoder: TextEncoder, first, second, **how):
    (pair,) = encoder.encode_pairs([(first, second)], **how)
    return [encoder.pair_window(pair, piece, np.zeros(1, np.int64)) for piece in pair.pieces]


def test_a_pair_of_roberta_is_what_transformers_makes_of_it(encoder, tokenizer):
    (window,) = pairs(encoder, "a good film", "Ada")
    assert window.input_ids.tolist() == tokenizer("a good film", "Ada")["input_ids"]
    assert not window.token_type_ids.any()


def test_a_pair_of_bert_has_token_types(bert_encoder):
    (window,) = pairs(bert_encoder, "a good", "paris")
    encoding = bert_encoder.tokenizer.encode("a good", "paris")
    assert window.input_ids.tolist() == encoding.ids
    assert window.token_type_ids.tolist() == encoding.type_ids == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("longer", ["first", "second"])
def test_the_longer_of_a_pair_is_cut(longer, tmp_path):
    encoder = make_encoder(wordpiece_tokenizer(), tmp_path, max_length=12)
    texts = ("a good play " * 8, "paris") if longer == "first" else ("paris", "a good play " * 8)
    windows = pairs(encoder, *texts)
    whole = encoder.tokenizer.encode(*texts)
    seen = np.unique(np.concatenate([window.input_ids for window in windows]))
    assert len(windows) > 1
    assert set(seen) == set(whole.ids)
    for window in windows:
        assert len(window) == 12
        first, second = [(window.token_type_ids == kind).sum() for kind in (0, 1)]
        assert (first, second) == ((10, 2) if longer == "first" else (3, 9))
    assert pairs(encoder, *texts, truncate=True)[0].input_ids.tolist() == windows[0].input_ids.tolist()
    assert len(pairs(encoder, *texts, truncate=True)) == 1


def test_a_pair_of_two_long_texts_is_refused(encoder):
    with pytest.raises(InvalidRequestError, match="text and text_pair are both too long for one window of 64 tokens"):
        pairs(encoder, "a " * 60, "a " * 60)


def test_pairs_together_are_encoded_as_each_is_by_itself(encoder):
    several = [("a good film", "Ada"), ("é", "a " * 90), ("a " * 90, "")]
    together = encoder.encode_pairs(several)
    for pair, encoded in zip(several, together, strict=True):
        (single,) = encoder.encode_pairs([pair])
        assert (encoded.first.text, encoded.second.text) == pair
        assert (encoded.first.ids, encoded.second.ids, encoded.pieces) == (
            single.first.ids,
            single.second.ids,
            single.pieces,
        )
    assert encoder.encode_pairs([]) == []


@pytest.mark.parametrize("kind", ["encoder", "bert_encoder", "xlmr_encoder"])
@pytest.mark.parametrize(("cut_side", "long"), [("longer", 0), ("longer", 1), ("second", 1)])
def test_the_homes_of_a_pairs_windows_tile_the_text_that_is_cut(cut_side, long, kind, request):
    encoder = request.getfixturevalue(kind)
    texts = ["a good film 😀", "a good film 😀"]
    texts[long] = "Paris is good. " * 30
    (pair,) = encoder.encode_pairs([tuple(texts)], cut_side=cut_side)
    assert len(pair.pieces) > 1
    homes = []
    for piece in pair.pieces:
        window = encoder.pair_window(pair, piece, encoder.pair_home_rows(pair, piece))
        homes += window.input_ids[window.head_rows].tolist()
    assert homes == (pair.first, pair.second)[long].ids


def test_the_offsets_of_a_pair_count_from_the_start_of_each_text(encoder):
    (pair,) = encoder.encode_pairs([("😀 Ada", "a film with Bob 👍🏽")])
    for text in (pair.first, pair.second):
        assert text.text[slice(*text.offsets()[-1])] in text.text
        assert text.offsets().max() == len(text.text)
    (fast,) = encoder.encode_pairs([("😀 Ada", "a film with Bob 👍🏽")], with_offsets=False)
    assert (fast.first.ids, fast.second.ids) == (pair.first.ids, pair.second.ids)


def test_a_first_text_that_must_stay_whole_does_though_it_is_the_longer_one(encoder):
    first, second = "a good film " * 12, "Ada met Bob in Paris"
    whole = encoder.tokenizer.encode(first, add_special_tokens=False).ids
    (pair,) = encoder.encode_pairs([(first, second * 5)], cut_side="second")
    assert len(whole) < len(pair.second.ids) or len(pair.pieces) > 1
    for piece in pair.pieces:
        window = encoder.pair_window(pair, piece, encoder.pair_home_rows(pair, piece))
        assert window.input_ids[1 : 1 + len(whole)].tolist() == whole
        assert len(window) <= encoder.max_length


def test_a_short_second_text_fits_beside_a_first_one_that_leaves_little(encoder):
    first = "a " * 25 + "film"
    (pair,) = encoder.encode_pairs([(first, "Ada")], cut_side="second")
    assert len(pair.pieces) == 1


def test_a_first_text_that_leaves_too_little_is_refused_by_its_name(encoder):
    sentence = "question leaves context too little of a window of 64 tokens; shorten question"
    with pytest.raises(InvalidRequestError, match=sentence):
        encoder.encode_pairs([("a " * 60, "Ada " * 30)], cut_side="second", fields=("question", "context"))


@pytest.mark.parametrize(("overlap", "shared"), [(0, 0), (3, 3), (1000, 29)])
def test_the_overlap_of_a_pair_is_the_callers_up_to_half_of_what_the_window_has_for_it(overlap, shared, tmp_path):
    encoder = make_encoder(wordpiece_tokenizer(), tmp_path)
    (pair,) = encoder.encode_pairs([("a paris", "a good play " * 40)], cut_side="second", overlap=overlap)
    first, second = pair.pieces[:2]
    assert first.end - first.start == 64 - 3 - 2
    assert first.end - second.start == shared
