"""XLM-RoBERTa's and CamemBERT's: a Unigram model of `sentencepiece.bpe.model`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bundle.sentencepiece import CONTROL, USER_DEFINED, read_sentencepiece
from app.bundle.vocabularies.base import FLAGS, ROBERTA, Kind, Parts, template

FILE = "sentencepiece.bpe.model"


def xlm_roberta(path: Path, settings: Mapping[str, Any], named: Mapping[str, str]) -> Parts:
    first = [(named[name], 0.0) for name in ("bos_token", "pad_token", "eos_token", "unk_token")]
    return unigram(path, settings, named, first, skipped=3)


def camembert(path: Path, settings: Mapping[str, Any], named: Mapping[str, str]) -> Parts:
    first = [("<s>NOTUSED", 0.0), (named["pad_token"], 0.0), ("</s>NOTUSED", 0.0), (named["unk_token"], 0.0)]
    return unigram(path, settings, named, [*first, ("<unk>NOTUSED", -100.0)], skipped=1)


def unigram(
    path: Path, settings: Mapping[str, Any], named: Mapping[str, str], first: list[tuple[str, float]], skipped: int
) -> Parts:
    """Return a Unigram model whose vocabulary is `first`, the pieces after those that are `skipped`, and the mask."""
    found = read_sentencepiece(path / FILE)
    vocabulary = [*first, *((p.text, p.score) for p in found.pieces[skipped:]), (named["mask_token"], 0.0)]
    ids: dict[str, int] = {}
    for number, (text, _) in enumerate(vocabulary):
        ids.setdefault(text, number)
    extra = tuple(
        {"content": piece.text, **dict.fromkeys(FLAGS, False), "special": piece.kind == CONTROL}
        for piece in found.pieces
        if piece.kind in (CONTROL, USER_DEFINED)
    )
    scheme = "always" if settings.get("add_prefix_space", True) else "never"
    space = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": True}
    charsmap = base64.b64encode(found.charsmap).decode()
    normalizer = {"type": "Precompiled", "precompiled_charsmap": charsmap} if charsmap else None
    model = {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False}

    def finish(texts: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, Any]:
        bos, eos = texts["bos_token"], texts["eos_token"]
        return template(numbers, [bos, 0, eos], [bos, 0, eos, eos, 1, eos], second_type=0)

    pre_tokenizer = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]}
    return Parts(model, ids, normalizer, pre_tokenizer, space, finish, extra)


XLM_ROBERTA = Kind((FILE,), ("XLMRobertaTokenizer",), ("xlm-roberta", "xmod"), ROBERTA, xlm_roberta)
CAMEMBERT = Kind(
    files=(FILE,),
    classes=("CamembertTokenizer",),
    model_types=("camembert",),
    named=ROBERTA | {"mask_token": {"content": "<mask>", "lstrip": True}},
    make=camembert,
)
