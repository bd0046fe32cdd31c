"""Opening a bundle's tokenizer. Bundles with the same file, as models of one base have, share it.

Such a tokenizer, with the vocabulary of roberta-base, takes 23 MB, and 85 ms to open.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path
from weakref import WeakValueDictionary

from tokenizers import Tokenizer

in_use: WeakValueDictionary[bytes, Tokenizer] = WeakValueDictionary()  # by the SHA-256 of its file
opening = threading.Lock()  # to open one holds the interpreter anyway


def open_tokenizer(file: Path) -> Tokenizer:
    """Return a tokenizer that neither cuts nor pads, the same for the same content; nobody may change it.

    Raises `OSError`, and the bare `Exception` of tokenizers for a file that is not one of its own.
    """
    content = file.read_bytes()
    key = sha256(content).digest()
    with opening:
        tokenizer = in_use.get(key)
        if tokenizer is None:
            tokenizer = Tokenizer.from_buffer(content)
            tokenizer.no_truncation()
            tokenizer.no_padding()
            in_use[key] = tokenizer
        return tokenizer
