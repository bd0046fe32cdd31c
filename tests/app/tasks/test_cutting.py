"""Long texts in chunks: the tokens are those of the whole text, for every tokenizer, wherever a text is cut."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers, pre_tokenizers

from app.errors import RequestTooLargeError
from app.tasks import cutting, tokens
from app.tasks.cutting import KINDS, borders
from app.tasks.pausing import between_chunks
from app.tasks.text import EncodedText, TextEncoder
from tests.app.builders import make_encoder, sentencepiece_tokenizer, wordpiece_tokenizer

KIND_NAMES = ["encoder", "bert_encoder", "xlmr_encoder", "shipped_encoder"]
FRAGMENTS = [
    *(
        "the",
        "a",
        "good",
        "Don't",
        "'s",
        "end.",
        "x9",
        "12",
        "(",
        ")",
        "...",
        "-",
        "_",
        "A",
        "Paris",
        "##x",
        "http://a.b/c?d=1",
    ),
    *("<mask>", " <mask>", "<mask> ", "[MASK]", "</s>", "<s>"),
    *(" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2009", "\x1c", "\x85", " " * 70),
    *("é", "e\u0301", "\u0301", "ﬁ", "\u037a", "\ufe70", "ß", "İ", "Σ", "ς", "\u200b", "\u200d", "\ufeff", "\x00"),
    *("😀", "👍🏽", "👩\u200d👧", "🇫🇷", "東京", "大", "。", "、", "カナ", "한국", "мир", "עברית", "ไทย", "नमस्ते"),
]
TEXTS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3)), max_size=40).map("".join)


@pytest.fixture(scope="session")
def shipped_encoder(shipped_models):
    return TextEncoder(shipped_models / "ner" / "1" / "tokenizer.json", 512)


@pytest.fixture
def cut_often(monkeypatch):
    """Cut every text wherever it can be cut."""
    monkeypatch.setattr(tokens, "WHOLE", 0)
    monkeypatch.setattr(cutting, "CHUNK", 1)


def encode(encoder, text, **options):
    (encoded,) = encoder.encode([text], **options)
    return encoded


def whole(encoder, text):
    """Encode a text as one, by the tokenizer itself."""
    encoding = encoder.tokenizer.encode(text, add_special_tokens=False)
    made = tokens.Tokens.of(encoding, True)
    return EncodedText(text, made.ids, made.offsets, made.words, [])


@pytest.mark.parametrize("kind", KIND_NAMES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
@example(text="a good film " * 20)
@example(text="It's 東京。大阪 x9y  \n\n Don't <mask> <mask>. Été")
def test_chunks_have_the_tokens_of_the_whole(kind, request, cut_often, text):
    encoder = request.getfixturevalue(kind)
    pieced, expected = encode(encoder, text), whole(encoder, text)
    assert pieced.ids == expected.ids
    assert pieced.offsets().tolist() == expected.offsets().tolist()
    assert borders(pieced.words.tolist()) == borders(expected.words.tolist())
    assert encode(encoder, text, with_offsets=False).ids == expected.ids


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_plain_text_is_cut_everywhere(kind, request, cut_often):
    chunks = list(request.getfixturevalue(kind).texts._cutter.chunks("a good play " * 10))
    assert len(chunks) == 30
    assert chunks[0][0] == 0
    assert all(one[1] == other[0] for one, other in pairwise(chunks))


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_long_text_has_the_tokens_of_the_whole(kind, request):
    encoder = request.getfixturevalue(kind)
    text = "It's a good film, in São Paulo; 東京。大阪 and Paris 9!\n" * 2000
    assert encode(encoder, text).ids == whole(encoder, text).ids


def with_(tokenizer, **parts):
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def with_added(tokenizer, *added):
    tokenizer.add_tokens(list(added))
    return tokenizer


UNCUT = {
    "a prefix for every text": with_(wordpiece_tokenizer(), normalizer=normalizers.Prepend("a")),
    "no words": with_(sentencepiece_tokenizer(), pre_tokenizer=pre_tokenizers.Metaspace(split=False)),
    "a token of two words": with_added(wordpiece_tokenizer(), AddedToken("new york")),
}


@pytest.mark.parametrize("name", UNCUT)
def test_a_tokenizer_that_cannot_be_proven_is_given_whole_texts(name, tmp_path):
    encoder = make_encoder(UNCUT[name], tmp_path)
    text = "a new york play in paris " * 400
    chunks = list(encoder.texts._cutter.chunks(text))
    assert encode(encoder, text).ids == whole(encoder, text).ids
    if name != "a token of two words":  # a line break would do there
        assert len(chunks) == 1


def test_every_kind_of_place_is_proven_by_some_tokenizer(encoder, bert_encoder):
    patterns = {
        pattern for each in (encoder, bert_encoder) for pattern in each.texts._cutter.pattern.pattern.split("|")
    }
    assert {part for kind in KINDS for part in kind.pattern.split("|")} <= patterns


@pytest.mark.parametrize("character", ["a", "\u3042", "\u3000", ".", "😀"])
def test_what_cannot_be_cut_is_bounded(character, bert_encoder, monkeypatch):
    monkeypatch.setattr(cutting, "MOST_UNCUT", 10_000)
    assert encode(bert_encoder, "b" + character * 9000).pieces
    with pytest.raises(RequestTooLargeError, match="more than 10,000 characters in a row, from character 0 on"):
        encode(bert_encoder, "b" + character * 20_000)


def test_a_tokenizer_that_reads_texts_as_a_whole_is_named_for_what_it_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(cutting, "MOST_UNCUT", 10_000)
    encoder = make_encoder(UNCUT["no words"], tmp_path)
    with pytest.raises(RequestTooLargeError, match="tokenizer reads a text as a whole, of at most 10,000"):
        encode(encoder, "a play in paris " * 2000)


@pytest.mark.parametrize("kind", ["encoder", "bert_encoder"])
@pytest.mark.parametrize("text", ["name,paris,play;film:" * 4000, "x1y2" * 15_000, "a" * 60_000], ids=len)
def test_text_without_spaces_is_read_whole(kind, text, request):
    encoder = request.getfixturevalue(kind)
    assert encode(encoder, text).ids == whole(encoder, text).ids


# --- What is not wanted is not done -----------------------------------------------------------------------


class Pauses:
    """Counts pauses; where it is told to, one of them fails."""

    def __init__(self, last=None):
        self.count, self.last = 0, last

    def __call__(self):
        self.count += 1
        if self.count == self.last:
            raise ZeroDivisionError

    def __enter__(self):
        self.token = between_chunks.set(self)
        return self

    def __exit__(self, *_):
        between_chunks.reset(self.token)


LONG = "a good film " * 10_000  # 120,000 characters


def test_truncating_reads_no_more_than_the_first_window(encoder):
    with Pauses() as pauses:
        cut, full = encode(encoder, LONG, truncate=True), encode(encoder, LONG)
    assert cut.ids[: encoder.capacity] == full.ids[: encoder.capacity]
    assert cut.pieces[0].end == encoder.capacity
    assert len(cut.ids) < 3000
    assert pauses.count > 20


def test_a_long_pair_is_truncated_as_it_would_be_whole(encoder):
    (short,) = encoder.encode_pairs([("a film", "a good film " * 500)], truncate=True)
    (long,) = encoder.encode_pairs([("a film", LONG)], truncate=True)
    assert encoder.pair_window(long, long.pieces[0], None).input_ids.tolist() == (
        encoder.pair_window(short, short.pieces[0], None).input_ids.tolist()
    )
    assert len(long.second.ids) < 3000


def test_tokenizing_stops_once_there_are_too_many_tokens(byte_level, tmp_path):
    make_encoder(byte_level, tmp_path)
    limited = TextEncoder(tmp_path / "tokenizer.json", 64, max_tokens=3000)
    assert len(encode(limited, "a good film " * 900).ids) > 2000
    for texts in ([LONG], [LONG, LONG], ["a good film " * 100] * 40):
        with Pauses() as pauses, pytest.raises(RequestTooLargeError, match="more than 3000 tokens"):
            limited.encode(texts)
        assert pauses.count <= 3
    assert limited.encode([LONG] * 20, truncate=True)


def test_a_pause_that_fails_ends_the_work(encoder):
    with Pauses(last=3) as pauses, pytest.raises(ZeroDivisionError):
        encode(encoder, LONG)
    assert pauses.count == 3


def test_many_short_texts_pause_too(encoder):
    with Pauses() as pauses:
        assert len(encoder.encode(["a good film " * 100] * 100)) == 100
    assert pauses.count > 5
