"""Names of models: what a name may be, and the nearest one to what a person has called something."""

from __future__ import annotations

import re
import unicodedata

LONGEST_NAME = 64
NAME_RULE = "a name has up to 64 lower-case letters, digits, dots, hyphens and underscores, the first a letter or digit"


def slug(text: str) -> str:
    """Return the name nearest to `text`: `Twitter RoBERTa` is `twitter-roberta`. Empty where nothing is left of it."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    return re.sub(r"[^a-z0-9._-]+", "-", letters).lstrip("._-")[:LONGEST_NAME].rstrip("-")
