"""What a Hugging Face `config.json` says of a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.bundle.files import read_json
from app.bundle.manifest import BundleError, ProblemType


def labels_of(config: dict[str, Any]) -> list[str]:
    """Return labels in column order from `id2label`."""
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or set(id2label) != {str(i) for i in range(len(id2label))}:
        raise BundleError("config.json needs an id2label that names the columns 0, 1, 2, ...")
    return [str(id2label[str(i)]) for i in range(len(id2label))]


def problem_type_of(config: dict[str, Any]) -> ProblemType:
    """Return the kind of classification. Raises `BundleError` when it is not one of transformers'."""
    problem_type = config.get("problem_type") or "single_label_classification"
    try:
        return TypeAdapter(ProblemType).validate_python(problem_type)
    except ValidationError as error:
        raise BundleError(f"config.json's problem_type {problem_type!r} is not known") from error


def whole_number(config: dict[str, Any], key: str, default: int | None = None) -> int:
    """Return a whole number of the config, or raise `BundleError` naming it."""
    value = config.get(key, default)
    if not isinstance(value, int):
        raise BundleError(f"config.json needs a whole number as {key}, not {value!r}")
    return value


def usable_positions(config: dict[str, Any]) -> int:
    """Return how many tokens a window may have, by the number of position embeddings.

    Models like RoBERTa never use the first pad_token_id + 1 of their positions (fairseq's make_positions); models like
    BERT use all of them. The config does not say which. Two signs speak for RoBERTa: a padding token other than 0,
    which is BERT's, and that the remaining positions are a multiple of 8, such as 512 = 514 - 2. A model is taken for
    RoBERTa by either, because a window that is too long for a model fails, and one that is a little shorter does not.
    """
    positions, pad_id = whole_number(config, "max_position_embeddings"), whole_number(config, "pad_token_id", 1)
    remaining = positions - pad_id - 1
    is_like_roberta = remaining % 8 == 0 or config.get("pad_token_id", 0) > 0
    return remaining if remaining > 0 and is_like_roberta else positions


def max_length_of(path: Path, config: dict[str, Any]) -> int:
    """Return the longest window of a Hub folder in tokens: the tokenizer's limit, bounded by the positions."""
    positions = usable_positions(config)
    tokenizer_config = path / "tokenizer_config.json"
    limit = read_json(tokenizer_config).get("model_max_length") if tokenizer_config.is_file() else None
    if isinstance(limit, float) and not math.isfinite(limit):
        return positions
    return min(positions, int(limit)) if isinstance(limit, int | float) else positions
