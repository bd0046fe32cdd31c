"""Bundles of the tasks beyond the shipped ones, whose graphs are tables of vectors by token: written in an instant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from tests.app.builders import toy_graph, write_bundle

VOCABULARY, DIMENSIONS = 1000, 16
JUDGMENTS = ["contradiction", "neutral", "entailment"]


def table(columns: int) -> np.ndarray:
    return np.random.default_rng(columns).normal(size=(VOCABULARY, columns)).astype(np.float32)


def mean_graph(columns: int) -> ModelProto:
    """Packed: for each window the mean of its tokens' rows, (B, columns)."""
    tensor, node = helper.make_tensor_value_info, helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["tokens"]),
        node("Shape", ["window_lengths"], ["windows"]),
        node("Concat", ["windows", "columns"], ["shape"], axis=0),
        node("ConstantOfShape", ["shape"], ["zeros"]),
        node("Unsqueeze", ["token_windows", "one"], ["places"]),
        node("ScatterND", ["zeros", "places", "tokens"], ["sums"], reduction="add"),
        node("Cast", ["window_lengths"], ["lengths"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["lengths", "one"], ["divisors"]),
        node("Div", ["sums", "divisors"], ["logits"]),
    ]
    weights = [
        numpy_helper.from_array(table(columns), "table"),
        numpy_helper.from_array(np.array([columns]), "columns"),
        numpy_helper.from_array(np.array([1]), "one"),
    ]
    inputs = [
        tensor("input_ids", TensorProto.INT64, ["T"]),
        tensor("token_windows", TensorProto.INT64, ["T"]),
        tensor("window_lengths", TensorProto.INT64, ["B"]),
    ]
    graph = helper.make_graph(nodes, "toy", inputs, [tensor("logits", TensorProto.FLOAT, [None, columns])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_toys(models: Path, tokenizer: Tokenizer) -> Path:
    """Write toy-reader (questions), toy-vectors (embeddings) and toy-judge (entailment)."""
    write_bundle(
        models, tokenizer, "toy-reader", graph=toy_graph(table(2)), task="question-answering", labels=[], max_length=64
    )
    settings = {"dimensions": DIMENSIONS, "prompts": {"query": "a question : "}}
    write_bundle(
        models,
        tokenizer,
        "toy-vectors",
        graph=mean_graph(DIMENSIONS),
        task="feature-extraction",
        labels=[],
        task_settings=settings,
    )
    write_bundle(models, tokenizer, "toy-judge", graph=mean_graph(len(JUDGMENTS)), labels=JUDGMENTS)
    return models
