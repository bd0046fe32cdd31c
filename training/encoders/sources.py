"""What a checkpoint's folder must hold before it is loaded, and what to do where it does not."""

from __future__ import annotations

import json
from pathlib import Path

from app.bundle import MANIFEST, BundleError
from app.bundle.contents import OTHER_WEIGHTS, PICKLED, WEIGHTS
from app.bundle.files import check_no_pointer
from app.bundle.hub_cache import is_cached_repository, snapshot_in
from training.encoders.base import UnsupportedModelError
from training.encoders.modules import transformer_path

SINGLE, INDEX = WEIGHTS
READ = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", SINGLE, INDEX)


def find_source(source: str, *, weights: bool = True) -> str:
    """Return a Hub id as it is, or the folder of a checkpoint, looked through: for its `weights`, or a tokenizer only.

    Raises `UnsupportedModelError` with what to do where the folder holds none.
    """
    folder = Path(source)
    if not folder.exists():
        if is_path(source):
            raise UnsupportedModelError(f"there is no folder {source}")
        return source
    try:
        if is_cached_repository(folder):
            folder = snapshot_in(folder)
        folder = Path(transformer_path(str(folder)) or folder)
        if weights:
            check_checkpoint(folder)
        else:
            check_pointers(folder)
    except BundleError as error:
        raise UnsupportedModelError(f"{source}: {error}") from error
    return str(folder)


def is_path(source: str) -> bool:
    """Whether a source can only be meant as a folder: a Hub id is NAME or ORG/NAME."""
    parts = Path(source).parts
    return source.startswith((".", "/", "~")) or len(parts) > 2 or (len(parts) == 2 and Path(parts[0]).is_dir())


def check_checkpoint(folder: Path) -> None:
    """Raise `UnsupportedModelError`, or `BundleError` for a pointer of Git LFS, where weights cannot be loaded."""
    if not folder.is_dir():
        raise UnsupportedModelError(f"{folder} is a file; give the folder that it lies in")
    has = {entry.name for entry in folder.iterdir()}
    if has.isdisjoint(WEIGHTS) and any((path / MANIFEST).is_file() for path in (folder, *folder.glob("[0-9]*"))):
        raise UnsupportedModelError(
            f"{folder} is a bundle, which has graphs and no checkpoint; give the one that it was made of, such as "
            "runs/NAME/checkpoint (finetune and pretrain take a bundle as their base)"
        )
    if "config.json" not in has:
        raise UnsupportedModelError(f"{folder} has no config.json; give a folder that save_pretrained has written")
    check_pointers(folder)
    if INDEX in has and SINGLE not in has:
        check_shards(folder)
    elif has.isdisjoint(WEIGHTS):
        raise UnsupportedModelError(without_weights(folder, has))


def check_pointers(folder: Path) -> None:
    for file in READ:
        if (folder / file).is_file():
            check_no_pointer(folder / file)


def check_shards(folder: Path) -> None:
    """Check that each file that the index of sharded weights names is there."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    for file in sorted(set(index.get("weight_map", {}).values())):
        if not (folder / file).is_file():
            raise UnsupportedModelError(f"{folder}: {file} is missing, which {INDEX} names; fetch the folder again")
        check_no_pointer(folder / file)


def without_weights(folder: Path, has: set[str]) -> str:
    if has.intersection(PICKLED):
        return (
            f"{folder} has pickled weights only, which are not safe to load; if you trust where they come from, type: "
            f"roberta-train convert {folder}"
        )
    for file, library in OTHER_WEIGHTS.items():
        if file in has:
            return f"{folder} has weights of {library} only ({file}); save it from PyTorch as safetensors"
    if any(name.endswith(".onnx") for name in has) or (folder / "onnx").is_dir():
        return f"{folder} has an ONNX graph and no weights; give the checkpoint that it was exported from"
    return f"{folder} has no {SINGLE}; give a folder that save_pretrained has written"
