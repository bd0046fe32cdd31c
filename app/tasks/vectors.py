"""Vectors: joined over windows, brought to length 1, and written."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from app.window import Floats

LEAST_NORM = np.float32(1e-12)  # as in torch.nn.functional.normalize


def normalized(vectors: Floats) -> Floats:
    """Return (N, width) vectors of length 1; one of zeros stays so."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)).astype(np.float32)
    unit: Floats = vectors / np.maximum(norms, LEAST_NORM)[:, None]
    return unit


def join(rows: Sequence[Floats], lengths: Sequence[int]) -> Floats:
    """Return the vector of a text, (width,), from those of its windows, (1, width) each, weighted by their tokens."""
    if len(rows) == 1:
        only: Floats = rows[0][0]
        return only
    return np.average(np.concatenate(rows), axis=0, weights=lengths).astype(np.float32)


def in_base64(vectors: Floats) -> str:
    """Return the bytes of little-endian float32 numbers in base64, row by row."""
    return base64.b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode("ascii")


def as_json(vectors: Floats) -> bytes:
    """Return vectors as JSON, without the brackets around all of them."""
    return orjson.dumps(vectors, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def as_lists(vectors: Floats) -> list[Any]:
    """Return vectors as lists of floats with as few digits as tell a float32 from every other."""
    lists: list[Any] = orjson.loads(orjson.dumps(vectors, option=orjson.OPT_SERIALIZE_NUMPY))
    return lists
