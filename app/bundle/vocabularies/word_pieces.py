"""BERT's: WordPiece of `vocab.txt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bundle.files import read_file
from app.bundle.vocabularies.base import NAMED, Kind, Parts, template

BERT = dict(zip(NAMED, (None, None, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"), strict=True))


def word_pieces(path: Path, settings: Mapping[str, Any], named: Mapping[str, str]) -> Parts:
    lines = read_file(path / "vocab.txt").decode("utf-8").removesuffix("\n").split("\n")
    ids = {line.rstrip(): number for number, line in enumerate(lines)}
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": bool(settings.get("tokenize_chinese_chars", True)),
        "strip_accents": settings.get("strip_accents"),
        "lowercase": bool(settings.get("do_lower_case", True)),
    }
    model = {
        "type": "WordPiece",
        "unk_token": named["unk_token"],
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": ids,
    }

    def finish(texts: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, Any]:
        cls, sep = texts["cls_token"], texts["sep_token"]
        return template(numbers, [cls, 0, sep], [cls, 0, sep, 1, sep], second_type=1)

    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return Parts(model, ids, normalizer, {"type": "BertPreTokenizer"}, decoder, finish)


WORD_PIECES = Kind(
    files=("vocab.txt",),
    classes=("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"),
    model_types=("bert", "distilbert", "electra"),
    named=BERT,
    make=word_pieces,
)
