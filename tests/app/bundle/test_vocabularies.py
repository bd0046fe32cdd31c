"""The tokenizer.json that is made of a slow tokenizer's files is the one that transformers makes of them."""

import io
import json

import pytest
from tokenizers import Tokenizer

from app.bundle import BundleError
from app.bundle.vocabularies import build_tokenizer
from tests.support.tiny import CORPUS

MASK = {"content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
ADDED = {**MASK, "special": True}
FOUND = {
    "content": "extra",
    "lstrip": False,
    "normalized": True,
    "rstrip": False,
    "single_word": False,
    "special": False,
}
SETTINGS = {
    "nothing": {},
    "flags": {"tokenizer_config.json": {"mask_token": {"__type": "AddedToken", **MASK}, "add_prefix_space": True}},
    "map": {"special_tokens_map.json": {"mask_token": MASK}},
    "map against config": {
        "special_tokens_map.json": {"mask_token": MASK},
        "tokenizer_config.json": {"mask_token": "<mask>"},
    },
    "added tokens": {"tokenizer_config.json": {"added_tokens_decoder": {"4": ADDED, "400": FOUND}}},
    "old added tokens": {"added_tokens.json": {"new": 400}},
    "further specials": {"special_tokens_map.json": {"additional_special_tokens": ["<e1>", "<e2>"]}},
    "specials of today": {"tokenizer_config.json": {"extra_special_tokens": ["<e1>"]}},
    "cased": {"tokenizer_config.json": {"do_lower_case": False, "tokenize_chinese_chars": False}},
}
TEXTS = [
    "A good film, isn't it?",
    "  caf\u00e9\tS\u00e3o  Paulo\n",
    "\u6771\u4eac 123 \U0001f600",
    "cafe\u0301 <mask> x",
    "\ufb01ne \u2460",
]


@pytest.fixture(scope="module")
def pieces():
    """A Unigram model of a few dozen pieces, as SentencePiece writes it."""
    sentencepiece = pytest.importorskip("sentencepiece")
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 5),
        model_writer=stream,
        vocab_size=100,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
        num_threads=1,
    )
    return stream.getvalue()


@pytest.fixture(params=["roberta", "bert", "xlm-roberta", "camembert"])
def folder(request, tmp_path, tokenizer):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": request.param}))
    if request.param == "roberta":
        model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
        (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
        (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in model["merges"]))
    elif request.param == "bert":
        words = [
            "[PAD]",
            "[UNK]",
            "[CLS]",
            "[SEP]",
            "[MASK]",
            *"abcdefilmnopstux",
            "##a",
            "##e",
            "##il",
            "##m",
            "good",
            "\u6771",
        ]
        (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    else:
        (tmp_path / "sentencepiece.bpe.model").write_bytes(request.getfixturevalue("pieces"))
    return tmp_path


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_it_is_as_transformers_makes_it(settings, folder):
    from transformers import AutoTokenizer

    config = json.loads((folder / "config.json").read_text())
    for file, content in settings.items():
        text = json.dumps(content)
        (folder / file).write_text(text.replace("<mask>", "[MASK]") if config["model_type"] == "bert" else text)
    ours = Tokenizer.from_str(build_tokenizer(folder, config).decode())
    theirs = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    mine, right = json.loads(ours.to_str()), json.loads(theirs.to_str())
    assert {key: mine[key] for key in mine if key != "model"} == {key: right[key] for key in right if key != "model"}
    assert ours.get_vocab() == theirs.get_vocab()
    for text in TEXTS:
        one, other = ours.encode(text, "a film"), theirs.encode(text, "a film")
        assert (one.ids, one.offsets, one.type_ids) == (other.ids, other.offsets, other.type_ids)


@pytest.mark.parametrize(
    ("files", "config", "reason"),
    [
        ({}, {"model_type": "roberta"}, "there is no vocabulary to make one of"),
        (
            {"vocab.json": "{}"},
            {"model_type": "roberta"},
            r"vocab\.json cannot be turned into one here; save it as one",
        ),
        (
            {"vocab.json": "{}", "merges.txt": ""},
            {"model_type": "gpt2"},
            r"vocab\.json with merges\.txt cannot be turned",
        ),
        ({"spm.model": "x"}, {"model_type": "deberta-v2"}, r"spm\.model cannot be turned into one"),
        ({"vocab.json": "{}", "merges.txt": "a b c"}, {"model_type": "roberta"}, "not as RoBERTa's are"),
        ({"sentencepiece.bpe.model": "hello"}, {"model_type": "xlm-roberta"}, "is no model of SentencePiece"),
        ({"sentencepiece.bpe.model": ""}, {"model_type": "camembert"}, "is no Unigram model"),
    ],
    ids=str,
)
def test_what_cannot_be_made_into_one_is_said_with_what_to_do(files, config, reason, tmp_path):
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(BundleError, match=reason):
        build_tokenizer(tmp_path, config)
