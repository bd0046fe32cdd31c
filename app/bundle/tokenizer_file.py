"""A tokenizer.json is looked through before it is opened: its size, its patterns, and its table of characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from app.bundle.files import read_file
from app.bundle.manifest import BundleError

MOST_BYTES = 64 * 2**20
MOST_CHARSMAP = 4 * 2**20  # characters in base64; XLM-RoBERTa's has 400,000
MOST_ENTRIES = 2_000_000  # of the vocabulary, or of the merges

# Patterns of published tokenizers, which need no more time than in proportion to a text.
KNOWN_PATTERNS = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
    r"|\s+",  # cl100k, Llama 3
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
# Characters and classes, of which only the last may be repeated: whatever follows cannot make it go back.
PLAIN_PATTERN = re.compile(
    r"(?:\\[^0-9kgK]|\\p\{\w+\}|\[(?:[^\[\]\\]|\\.)+\]|[^\\\[\](){}*+?|^$])*(?:[*+]|\{\d{1,3}(?:,\d{0,3})?\})?"
)


def check_tokenizer(path: Path) -> None:
    """Raise `BundleError` where a tokenizer.json is too large, or has a pattern that may take long."""
    try:
        content = from_json(read_file(path, MOST_BYTES))
    except FileNotFoundError:
        raise BundleError(f"{path.name} is missing") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path.name} cannot be used: it is not JSON, or nested too deep") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path.name} cannot be used: it is not a JSON object")
    model = content.get("model")
    for field in ("vocab", "merges"):
        if (
            isinstance(model, dict)
            and isinstance(entries := model.get(field), list | dict)
            and len(entries) > MOST_ENTRIES
        ):
            raise BundleError(f"{path.name} has more than {MOST_ENTRIES} entries in {field}")
    for step in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        for part in tables_in(content.get(step)):
            check_step(path.name, part)


def check_step(name: str, part: dict[str, Any]) -> None:
    pattern = part.get("Regex")
    if isinstance(pattern, str) and pattern not in KNOWN_PATTERNS and not PLAIN_PATTERN.fullmatch(pattern):
        raise BundleError(f"{name} has a pattern that may take long on some text: {pattern[:80]!r}")
    charsmap = part.get("precompiled_charsmap")
    if isinstance(charsmap, str | list) and len(charsmap) > MOST_CHARSMAP:
        raise BundleError(f"{name} has a table of characters of more than {MOST_CHARSMAP} characters")


def tables_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every table within a value."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
