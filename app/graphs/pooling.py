"""Nodes that make one vector of a window's token vectors, added to a padded graph that answers those.

They need neither the package onnx nor a parsed graph (`app.graphs.wire`), and no operator that changed between the
opsets that exporters write.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.bundle.manifest import ADDED_OUTPUT
from app.bundle.sentence_modules import Dense
from app.graphs import wire

PREFIX = "added"  # of the names of what is added
MASKED = np.float32(-1e30)  # stands for a token that is none, where the greatest is taken


def add_pooling(pooling: str, tokens: str, hidden_size: int, dense: Sequence[Dense], *, has_mask: bool) -> bytes:
    """Return what is added to a graph whose output `tokens` is (B, S, hidden_size): a vector (B, width) a window.

    `pooling` names one or several ways, joined by a plus sign; see `app.bundle.sentence_modules`. `has_mask`: whether
    the graph has the input attention_mask; without one, no token of a batch is padding.
    """
    tail = Tail()
    tail.hidden = tail.add("Cast", [tokens], to=wire.FLOAT)  # (B, S, hidden)
    tail.mask = tail.mask_of(has_mask)
    vectors = [POOLINGS[way](tail) for way in pooling.split("+")]  # (B, hidden) each
    whole = vectors[0] if len(vectors) == 1 else tail.add("Concat", vectors, axis=1)
    for layer in dense:
        whole = tail.dense(whole, layer)
    width = len(dense[-1].weight) if dense else hidden_size * len(vectors)
    return tail.finish(whole, ["windows", width])


def add_choice(output: str, *shape: str | int) -> bytes:
    """Return what is added to a graph of which one of several outputs, of this shape, is read as it is."""
    tail = Tail()
    return tail.finish(tail.add("Cast", [output], to=wire.FLOAT), shape)


class Tail:
    """Nodes and weights that are added; each method returns the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.weights: list[bytes] = []
        self.hidden = self.mask = ""  # (B, S, hidden) and (B, 1, S), float32

    def name(self) -> str:
        return f"{PREFIX}.{len(self.nodes) + len(self.weights)}"

    def add(self, operator: str, inputs: Sequence[str], **attributes: wire.Attribute) -> str:
        name = self.name()
        self.nodes.append(wire.node(operator, inputs, name, **attributes))
        return name

    def finish(self, name: str, shape: Sequence[str | int]) -> bytes:
        """Return the bytes that are added, with `name` as the output that is read."""
        self.nodes.append(wire.node("Identity", [name], ADDED_OUTPUT))
        return wire.addition(self.nodes, self.weights, [wire.output(ADDED_OUTPUT, shape)])

    def constant(self, values: NDArray[np.generic]) -> str:
        name = self.name()
        self.weights.append(wire.tensor(values, name))
        return name

    def shaped(self, name: str, *shape: int) -> str:
        """Reshape; a 0 keeps a dimension."""
        return self.add("Reshape", [name, self.constant(np.array(shape, np.int64))])

    def mask_of(self, has_mask: bool) -> str:
        if has_mask:
            return self.shaped(self.add("Cast", ["attention_mask"], to=wire.FLOAT), 0, 1, -1)
        shape = self.add("Shape", ["input_ids"])
        return self.shaped(self.add("ConstantOfShape", [shape], value=np.ones(1, np.float32)), 0, 1, -1)

    def weighted(self, weights: str) -> str:
        """(B, 1, S) weights -> (B, hidden), the weighted sum of token vectors."""
        return self.shaped(self.add("MatMul", [weights, self.hidden]), 0, -1)

    def total(self, weights: str) -> str:
        """(B, 1, S) weights, of padding 0 -> (B, 1), their sum."""
        column = self.shaped(self.mask, 0, -1, 1)  # (B, S, 1)
        return self.shaped(self.add("MatMul", [weights, column]), 0, -1)

    def places(self) -> str:
        """(B, 1, S) the number of each token in its window, from 1, and of padding 0."""
        counted = self.add("CumSum", [self.mask, self.constant(np.array(2, np.int64))])
        return self.add("Mul", [counted, self.mask])

    def mean(self) -> str:
        return self.add("Div", [self.weighted(self.mask), self.total(self.mask)])

    def mean_sqrt_len(self) -> str:
        return self.add("Div", [self.weighted(self.mask), self.add("Sqrt", [self.total(self.mask)])])

    def weighted_mean(self) -> str:
        places = self.places()
        return self.add("Div", [self.weighted(places), self.total(places)])

    def first(self) -> str:
        return self.add("Gather", [self.hidden, self.constant(np.array(0, np.int64))], axis=1)

    def last(self) -> str:
        """The token whose number is that of all: its weight is 1, and that of the others 0."""
        count = self.shaped(self.total(self.mask), 0, 1, -1)  # (B, 1, 1)
        whole = [self.add("Cast", [name], to=wire.INT64) for name in (self.places(), count)]
        return self.weighted(self.add("Cast", [self.add("Equal", whole)], to=wire.FLOAT))

    def max(self) -> str:
        padding = self.add("Mul", [self.add("Sub", [self.mask, self.one()]), self.constant(-MASKED.reshape(1))])
        by_column = self.add("Transpose", [self.hidden], perm=[0, 2, 1])  # (B, hidden, S)
        greatest = self.add("GlobalMaxPool", [self.add("Add", [by_column, padding])])  # (B, hidden, 1)
        return self.shaped(greatest, 0, -1)

    def one(self) -> str:
        return self.constant(np.ones(1, np.float32))

    def dense(self, vector: str, layer: Dense) -> str:
        product = self.add("MatMul", [vector, self.constant(np.ascontiguousarray(layer.weight.T))])
        if layer.bias is not None:
            product = self.add("Add", [product, self.constant(layer.bias)])
        if layer.activation == "GELU":
            return self.gelu(product)
        return self.add(OPERATORS[layer.activation], [product])

    def gelu(self, value: str) -> str:
        """x / 2 * (1 + erf(x / sqrt(2))): ONNX has Gelu since opset 20 only."""
        root, half = self.constant(np.sqrt(np.full(1, 2, np.float32))), self.constant(np.full(1, 0.5, np.float32))
        share = self.add("Add", [self.add("Erf", [self.add("Div", [value, root])]), self.one()])
        return self.add("Mul", [self.add("Mul", [value, half]), share])


POOLINGS = {
    "mean": Tail.mean,
    "first": Tail.first,
    "last": Tail.last,
    "max": Tail.max,
    "mean_sqrt_len": Tail.mean_sqrt_len,
    "weighted_mean": Tail.weighted_mean,
}
OPERATORS = {"Identity": "Identity", "Tanh": "Tanh", "ReLU": "Relu", "Sigmoid": "Sigmoid"}
