"""Replacing nodes and weights of an ONNX graph, before a session is opened on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper


class RewriteError(Exception):
    """A graph cannot be rewritten. The message says why, and what to do."""


class Rewriter:
    """A graph that is being rewritten: nodes in their order, weights by name. `finish` drops what nothing reads."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.weights: dict[str, NDArray[Any]] = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
        self.nodes: list[NodeProto] = [copy_of(node) for node in model.graph.node]
        self.inputs: list[ValueInfoProto] = list(model.graph.input)
        self.opsets: dict[str, int] = {opset.domain: opset.version for opset in model.opset_import}

    @property
    def output(self) -> str:
        """The name of the graph's output."""
        name: str = self.model.graph.output[0].name
        return name

    def find(self, op_type: str) -> list[NodeProto]:
        return [node for node in self.nodes if node.op_type == op_type]

    def producer(self, name: str) -> NodeProto | None:
        return next((node for node in self.nodes if name in node.output), None)

    def readers(self, name: str) -> list[NodeProto]:
        return [node for node in self.nodes if name in reads(node)]

    def choose_branches(self, condition: str, branch: str) -> None:
        """Replace each If on the input `condition` by one branch's nodes, and drop the input.

        `branch` is `then_branch` or `else_branch`.
        """
        for choice in self.find("If"):
            if choice.input[0] == condition:
                nodes = [copy_of(node) for a in choice.attribute if a.name == branch for node in a.g.node]
                nodes[-1].output[:] = choice.output
                self.replace(choice, *nodes)
        self.inputs = [value for value in self.inputs if value.name != condition]

    def replace(self, old: NodeProto, *new: NodeProto) -> None:
        place = self.nodes.index(old)
        self.nodes[place : place + 1] = new

    def finish(self) -> ModelProto:
        """Return the rewritten graph."""
        nodes = needed(self.nodes, self.output)
        read = {name for node in nodes for name in reads(node)}
        graph = helper.make_graph(
            nodes,
            self.model.graph.name,
            self.inputs,
            list(self.model.graph.output),
            [numpy_helper.from_array(values, name) for name, values in self.weights.items() if name in read],
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=self.model.ir_version)


def needed(nodes: Iterable[NodeProto], output: str) -> list[NodeProto]:
    """Return the nodes that `output` depends on, in their order."""
    wanted, kept = {output}, []
    for node in reversed(list(nodes)):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= reads(node)
    return kept[::-1]


def reads(node: NodeProto) -> set[str]:
    """Return the names that a node reads, including those that its branches read from outside."""
    names = set(node.input)
    for attribute in node.attribute:
        inner = attribute.g.node
        names |= {name for each in inner for name in reads(each)} - {name for each in inner for name in each.output}
    return names


def copy_of(node: NodeProto) -> NodeProto:
    copied = NodeProto()
    copied.CopyFrom(node)
    return copied
