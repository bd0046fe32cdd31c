"""The tokenizers that an engine process has proved, kept for its workers under their SHA-256.

The engine opens a bundle's tokenizer from the kept copy, and so do workers: what was hashed, probed and opened is one
content, whatever becomes of the models folder afterwards.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from app.bundle import Bundle, BundleError, sha256


class TokenizerStore:
    """Copies in `folder`, each for as long as a bundle that uses it lives.

    A process that replaces another finds its copies, and need not find room for them in a file system that is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uses: Counter[str] = Counter()  # by SHA-256: how many bundles use the copy
        self._lock = threading.RLock()  # a finalizer may run in the middle of `keep`

    def keep(self, bundle: Bundle) -> Bundle:
        """Return the bundle with a kept copy of its tokenizer.

        Raises `BundleError` when the file is not what the manifest says, or cannot be read or copied.
        """
        try:
            content = bundle.tokenizer_file.read_bytes()
        except OSError as error:
            raise BundleError(f"tokenizer.json cannot be read: {error.strerror}") from error
        digest = hashlib.sha256(content).hexdigest()
        if bundle.manifest.files.get("tokenizer.json", digest) != digest:
            raise BundleError("tokenizer.json was altered while it was read: its sha256 is not the manifest's")
        with self._lock:
            try:
                file = self._write(digest, content)
            except OSError as error:
                raise BundleError(f"the temporary folder cannot keep tokenizer.json: {error.strerror}") from error
            self._uses[digest] += 1
            kept = replace(bundle, kept_tokenizer=file)
            weakref.finalize(kept, self._leave, digest)
        return kept

    def sweep(self) -> None:
        """Remove what no bundle uses, such as copies that another process has left."""
        with self._lock, suppress(OSError):
            for file in self._folder.iterdir():
                if file.name not in self._uses:
                    file.unlink(missing_ok=True)

    def _write(self, digest: str, content: bytes) -> Path:
        """Write a copy whole or not at all."""
        file = self._folder / digest
        if not is_as_kept(file):
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial")
            try:
                partial.write_bytes(content)
                partial.replace(file)
            except OSError:
                partial.unlink(missing_ok=True)
                raise
        return file

    def _leave(self, digest: str) -> None:
        with self._lock:
            self._uses[digest] -= 1
            if self._uses[digest] == 0:
                del self._uses[digest]
                with suppress(OSError):
                    (self._folder / digest).unlink()


def is_as_kept(file: Path) -> bool:
    """Whether a kept copy still has the SHA-256 that it is named after."""
    try:
        return sha256(file) == file.name
    except OSError:
        return False
