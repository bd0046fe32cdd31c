"""RoBERTa's: byte-level BPE of `vocab.json` and `merges.txt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bundle.files import read_file, read_json
from app.bundle.manifest import BundleError
from app.bundle.vocabularies.base import ROBERTA, Kind, Parts


def byte_level(path: Path, settings: Mapping[str, Any], named: Mapping[str, str]) -> Parts:
    ids = read_json(path / "vocab.json")
    lines = read_file(path / "merges.txt").decode("utf-8").split("\n")
    merges = [line.removesuffix("\r").split(" ") for line in lines if line and not line.startswith("#version")]
    if not all(isinstance(number, int) for number in ids.values()) or any(len(merge) != 2 for merge in merges):
        raise BundleError("vocab.json or merges.txt is not as RoBERTa's are")
    prefix, trim = bool(settings.get("add_prefix_space", False)), bool(settings.get("trim_offsets", True))

    def finish(texts: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, Any]:
        sep, cls = texts["sep_token"], texts["cls_token"]
        return {
            "type": "RobertaProcessing",
            "sep": [sep, numbers[sep]],
            "cls": [cls, numbers[cls]],
            "trim_offsets": trim,
            "add_prefix_space": prefix,
        }

    settled = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": ids,
        "merges": merges,
    }
    return Parts(model, ids, None, settled | {"add_prefix_space": prefix}, settled | {"add_prefix_space": True}, finish)


BYTE_LEVEL = Kind(
    files=("vocab.json", "merges.txt"),
    classes=("RobertaTokenizer", "LongformerTokenizer"),
    model_types=("roberta", "longformer", "roberta-prelayernorm", "data2vec-text", "ibert"),
    named=ROBERTA,
    make=byte_level,
)
