"""Tokenizers that were built of vocabulary files, kept as files for as long as the process lives."""

from __future__ import annotations

import hashlib
import tempfile
from functools import cache
from pathlib import Path


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="roberta-tokenizers-", ignore_cleanup_errors=True)


def keep_built(content: bytes) -> Path:
    """Return the file of a tokenizer, named after its SHA-256. Raises `OSError`."""
    file = Path(folder().name) / hashlib.sha256(content).hexdigest()
    if not file.is_file():
        partial = file.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(file)
    return file
