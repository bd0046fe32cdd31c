"""From a torch module to an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import onnx
import torch
from onnx import ModelProto
from torch import nn


def trace(
    module: nn.Module, inputs: dict[str, Any], shapes: dict[str, Any], names: list[str], opset: int
) -> ModelProto:
    """Export `module`, called with the keyword arguments `inputs`, to a graph with one output, `logits`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations and registration notes
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            dynamic_shapes=shapes,
            input_names=names,
            output_names=["logits"],
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    del proto.graph.value_info[:]  # stale after any rewriting; onnxruntime infers its own
    onnx.checker.check_model(proto, full_check=False)
    return proto
