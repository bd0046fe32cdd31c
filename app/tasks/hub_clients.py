"""Which of Hugging Face's clients asks, by the name that it gives itself in the header `User-Agent`."""

from __future__ import annotations

import re

PYTHON = re.compile(r"\bhf_hub/(\d+)\.(\d+)\.(\d+)")
JAVASCRIPT = re.compile(r"@huggingface/inference/\d")


def version_of_hub_client(name: str) -> tuple[int, ...] | None:
    """Return the version of `huggingface_hub`; None where another client asks."""
    found = PYTHON.search(name)
    return None if found is None else tuple(map(int, found.groups()))


def classifying_method(name: str) -> str | None:
    """Return the method by which the client that calls itself `name` classifies; None where it is not one of these.

    Whatever it sends, that method returns the first of the answers.
    """
    if PYTHON.search(name) is not None:
        return "text_classification of huggingface_hub"
    return "textClassification of @huggingface/inference" if JAVASCRIPT.search(name) is not None else None
