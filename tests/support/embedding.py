"""Toy embedding models: a token's vector is a row of a table, and a window's is that of its first token or its mean."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from tests.app.builders import write_bundle

WIDTH, VOCABULARY = 16, 1000
TABLE = np.random.default_rng(1).normal(size=(VOCABULARY, WIDTH)).astype(np.float32)


def embedding_graph(pooled: bool = True) -> ModelProto:
    """Return a padded graph from (B, S) ids to the vectors of windows, (B, WIDTH), or of tokens, (B, S, WIDTH)."""
    tensor = helper.make_tensor_value_info
    inputs = [tensor(name, TensorProto.INT64, ["B", "S"]) for name in ("input_ids", "attention_mask")]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    output = tensor("last_hidden_state", TensorProto.FLOAT, ["B", "S", WIDTH])
    if pooled:  # the mean over a window's tokens
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "one"], ["row"]),
            helper.make_node("MatMul", ["row", "last_hidden_state"], ["sums"]),
            helper.make_node("Squeeze", ["sums", "one"], ["sum"]),
            helper.make_node("ReduceSum", ["mask", "one"], ["count"]),
            helper.make_node("Div", ["sum", "count"], ["sentence_embedding"]),
        ]
        output = tensor("sentence_embedding", TensorProto.FLOAT, ["B", WIDTH])
    weights = [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1]), "one")]
    graph = helper.make_graph(nodes, "toy", inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_embedding(models: Path, tokenizer: Tokenizer, name: str = "toy-embed", **settings: object) -> Path:
    """Publish the next version of a toy embedding model."""
    return write_bundle(
        models,
        tokenizer,
        name,
        graph=embedding_graph(),
        task="feature-extraction",
        labels=(),
        layout="padded",
        task_settings={"dimensions": WIDTH} | settings,
    )


def with_embedding(models: Path, tokenizer: Tokenizer, folder: Path) -> Path:
    """Return a copy of a models folder, in `folder`, that has the toy embedding model too."""
    shutil.copytree(models, folder)
    write_embedding(folder, tokenizer, prompts={"query": "query: "})
    return folder
