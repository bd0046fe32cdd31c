"""From the vocabulary files of a slow tokenizer to the `tokenizer.json` that transformers would make of them.

Each module is a kind of tokenizer. Source: transformers 5's classes of these names, and `TokenizersBackend`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bundle.files import read_json
from app.bundle.manifest import BundleError
from app.bundle.vocabularies.added import added, numbered
from app.bundle.vocabularies.base import Kind
from app.bundle.vocabularies.byte_level import BYTE_LEVEL
from app.bundle.vocabularies.unigram import CAMEMBERT, XLM_ROBERTA
from app.bundle.vocabularies.word_pieces import WORD_PIECES

KINDS = (BYTE_LEVEL, WORD_PIECES, XLM_ROBERTA, CAMEMBERT)
UNSPECIFIC = {"PreTrainedTokenizer", "TokenizersBackend"}  # classes that say nothing of their kind
VOCABULARY_FILES = (
    *("vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model"),
    *("spiece.model", "spm.model", "tokenizer.model"),
)
WITH_SAVE = (
    "save it as one: "
    "python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('FOLDER').save_pretrained('FOLDER')\""
)


def build_tokenizer(path: Path, config: Mapping[str, Any]) -> bytes:
    """Return the `tokenizer.json` of a folder that has none. Raises `BundleError` with what to do, `OSError`."""
    settings = tokenizer_settings(path)
    if (kind := kind_of(path, settings, config)) is None:
        raise BundleError(f"tokenizer.json is missing, and {why_not(path)}")
    named = {name: added(settings.get(name, default)) for name, default in kind.named.items()}
    texts = {name: token["content"] for name, token in named.items() if token}
    parts = kind.make(path, settings, texts)
    tokens, ids = numbered(settings, named, parts)
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokens,
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": parts.finish(texts, ids),
        "decoder": parts.decoder,
        "model": parts.model,
    }
    return json.dumps(document, ensure_ascii=False).encode()


def tokenizer_settings(path: Path) -> dict[str, Any]:
    """Return what `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say."""
    settings = read_if_there(path / "tokenizer_config.json")
    if "added_tokens_decoder" in settings:
        return settings
    settings |= read_if_there(path / "special_tokens_map.json")
    found = sorted(read_if_there(path / "added_tokens.json").items(), key=lambda pair: int(pair[1]))
    settings["added_tokens_decoder"] = {
        str(number): {"content": text, "normalized": True, "special": False} for text, number in found
    }
    return settings


def read_if_there(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def kind_of(path: Path, settings: Mapping[str, Any], config: Mapping[str, Any]) -> Kind | None:
    """Return the kind of a folder's tokenizer, by the class that it names, else by the type of its model."""
    named = str(settings.get("tokenizer_class") or config.get("tokenizer_class") or "").removesuffix("Fast")
    named = "" if named in UNSPECIFIC else named
    for kind in KINDS:
        is_meant = named in kind.classes if named else config.get("model_type") in kind.model_types
        if is_meant and all((path / file).is_file() for file in kind.files):
            return kind
    return None


def why_not(path: Path) -> str:
    """Return why no tokenizer can be made of what a folder has."""
    if found := [file for file in VOCABULARY_FILES if (path / file).is_file()]:
        return f"{' with '.join(found)} cannot be turned into one here; {WITH_SAVE}"
    return "there is no vocabulary to make one of; copy it from the checkpoint that the graph was exported from"
