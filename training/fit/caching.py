"""Tokenized features on disk: a second run on the same texts reads them instead of making them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from datasets import Dataset, disable_progress_bars, enable_progress_bars, load_from_disk
from transformers import PreTrainedTokenizerBase

from app.bundle import replace_folder
from training.fit.distributed import from_main, is_main_process

log = logging.getLogger(__name__)

FORMAT = "1"  # to be changed when the same inputs come to give other features


def cached(folder: Path, key: str, make: Callable[[], Dataset]) -> Dataset:
    """Return the rows stored in `folder` under `key`, made and stored first where there are none.

    The main process makes them and the others read. A folder that cannot be written to only costs the time.
    """
    stored = folder / key
    if is_main_process() and not stored.exists():
        rows = make()
        try:
            store(rows, stored)
        except OSError as error:
            log.info("%s: features are not cached: %s", stored, error)
    exists = from_main(stored.exists())
    return load_from_disk(str(stored)) if exists else make()


def key_of(examples: Iterable[object], tokenizer: PreTrainedTokenizerBase, *settings: object) -> str:
    """Return a name for the features of these examples, by this tokenizer, under these settings."""
    digest = hashlib.sha256()
    tokenization = tokenizer.backend_tokenizer.to_str()
    for part in (FORMAT, tokenization, *settings, *examples):
        digest.update(repr(part).encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()


def store(rows: Dataset, folder: Path) -> None:
    """Write rows to disk; the folder appears when it is whole."""
    disable_progress_bars()
    try:
        with replace_folder(folder) as unfinished:
            rows.save_to_disk(str(unfinished))
    finally:
        enable_progress_bars()
