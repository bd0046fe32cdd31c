"""The graph that a GPU runs, made in memory of the one that a bundle has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from app.bundle import Precision
from app.graphs.dequantize import dequantize
from app.graphs.fusing import fuse


def read_for_gpu(path: Path, precision: Precision) -> bytes:
    """Return the packed graph at `path`, of `precision`, in fp16 or fp32 and with CUDA's own operators.

    Raises `SessionError` when it is not one that our exporter makes.
    """
    model = onnx.load(path)
    if precision != "fp16":
        model = dequantize(model, np.float32 if precision == "fp32" else np.float16, packed_attention=True)
    serialized: bytes = fuse(model).SerializeToString()
    return serialized
