"""A toy graph that answers questions, as Optimum makes it of a `ForQuestionAnswering`: two outputs."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

NAMES = ("start_logits", "end_logits")
TABLES = {name: np.random.default_rng(number).normal(size=1000).astype(np.float32) for number, name in enumerate(NAMES)}


def reader_graph() -> ModelProto:
    """Return a padded graph from (B, S) ids to two arrays (B, S): rows of tables."""
    tensor = helper.make_tensor_value_info
    inputs = [tensor(name, TensorProto.INT64, ["B", "S"]) for name in ("input_ids", "attention_mask")]
    outputs = [tensor(name, TensorProto.FLOAT, ["B", "S"]) for name in NAMES]
    nodes = [helper.make_node("Gather", [f"{name}.table", "input_ids"], [name]) for name in NAMES]
    weights = [numpy_helper.from_array(TABLES[name], f"{name}.table") for name in NAMES]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
