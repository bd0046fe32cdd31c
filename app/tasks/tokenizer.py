"""Opening a bundle's tokenizer, and the special tokens that it puts around texts.

Bundles with the same file, as models of one base have, share one tokenizer: each takes tens of megabytes.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from tokenizers import Tokenizer

in_use: WeakValueDictionary[bytes, Tokenizer] = WeakValueDictionary()  # by the SHA-256 of its file
opening = threading.Lock()  # opening one holds the GIL anyway


class SpecialTokens(NamedTuple):
    """What the tokenizer puts around a text, and around and between the two texts of a pair."""

    prefix: list[int]
    suffix: list[int]
    pair_prefix: list[int]
    pair_middle: list[int]
    pair_suffix: list[int]
    pair_type: int  # token type of the second text: 1 for BERT, 0 for RoBERTa

    @property
    def of_pair(self) -> int:
        """How many tokens of a pair's window are not of its texts."""
        return len(self.pair_prefix) + len(self.pair_middle) + len(self.pair_suffix)


def open_tokenizer(file: Path) -> Tokenizer:
    """Return a tokenizer that neither cuts nor pads: one object for files of one content, not to be changed.

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


def probe_special_tokens(tokenizer: Tokenizer) -> SpecialTokens:
    """Learn the special tokens by encoding a letter, which works for every post-processor."""
    single, pair = tokenizer.encode("a"), tokenizer.encode("a", "a")
    content = [i for i, special in enumerate(single.special_tokens_mask) if not special]
    first = [i for i, sequence in enumerate(pair.sequence_ids) if sequence == 0]
    second = [i for i, sequence in enumerate(pair.sequence_ids) if sequence == 1]
    return SpecialTokens(
        prefix=single.ids[: content[0]],
        suffix=single.ids[content[-1] + 1 :],
        pair_prefix=pair.ids[: first[0]],
        pair_middle=pair.ids[first[-1] + 1 : second[0]],
        pair_suffix=pair.ids[second[-1] + 1 :],
        pair_type=pair.type_ids[second[0]],
    )
