"""The graph that a GPU runs: a bundle's graph, rewritten in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from app.bundle import Precision
from app.graphs.dequantize import dequantize
from app.graphs.fusing import fuse


def read_for_gpu(path: Path, precision: Precision) -> bytes:
    """Return the packed graph at `path`, of `precision`, in fp16 or fp32 and with CUDA's own operators.

    Raises `RewriteError` when our exporter did not make it.
    """
    model = onnx.load(path)
    if precision != "fp16":
        model = dequantize(model, np.float32 if precision == "fp32" else np.float16, packed_attention=True)
    serialized: bytes = fuse(model).SerializeToString()
    return serialized
