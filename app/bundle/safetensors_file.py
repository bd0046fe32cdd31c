"""The tensors of a small safetensors file, as float32. Source of the format: the README of safetensors.

8 bytes: the length of the header   the header: JSON   the tensors
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from app.bundle.files import read_file
from app.bundle.manifest import BundleError

MOST_BYTES = 256 * 2**20
TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}


def read_safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return every tensor by its name. Raises `BundleError` for a file that is malformed, or has other numbers."""
    try:
        content = read_file(path, MOST_BYTES)
    except FileNotFoundError:
        raise BundleError(f"{path.parent.name}/{path.name} is missing") from None
    try:
        (length,) = struct.unpack_from("<Q", content)
        header: dict[str, Any] = from_json(content[8 : 8 + length])
        header.pop("__metadata__", None)
        body = memoryview(content)[8 + length :]
        return {name: tensor_of(entry, body) for name, entry in header.items()}
    except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        raise BundleError(f"{path.parent.name}/{path.name} is not a safetensors file of floats") from error


def tensor_of(entry: dict[str, Any], body: memoryview) -> NDArray[np.float32]:
    """Return one tensor by its entry in the header: its type, shape, and place in the body."""
    start, end = entry["data_offsets"]
    shape, dtype = [int(size) for size in entry["shape"]], np.dtype(TYPES[entry["dtype"]])
    if (
        not 0 <= start <= end <= len(body)
        or min(shape, default=0) < 0
        or math.prod(shape) * dtype.itemsize != end - start
    ):
        raise ValueError("a tensor that is not where the header says")
    values = np.frombuffer(body[start:end], dtype)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32).reshape(shape)
