"""Graphs that nobody vouches for, as changes to a folder with a small one, and why each is refused."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.app.builders import toy_graph


def with_graph(change):
    """Change the graph of a folder without a manifest."""

    def apply(folder):
        model = toy_graph(padded=True)
        change(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return apply


def foreign_operator(model):
    model.graph.node.append(helper.make_node("Run", ["logits"], ["more"], domain="evil.example"))


def foreign_opset(model):
    model.opset_import.append(helper.make_opsetid("evil.example", 1))


def endless_loop(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["more"], body=body))


def loop_within_a_branch(model):
    inner = helper.make_graph(
        [helper.make_node("Loop", ["", ""], ["x"], body=helper.make_graph([], "b", [], []))], "i", [], []
    )
    model.graph.node.append(helper.make_node("If", ["zero"], ["more"], then_branch=inner, else_branch=inner))


def deep(model):
    graph = helper.make_graph([], "bottom", [], [])
    for _ in range(20):
        graph = helper.make_graph([helper.make_node("If", ["zero"], ["x"], then_branch=graph)], "level", [], [])
    model.graph.node.append(helper.make_node("If", ["zero"], ["more"], then_branch=graph))


def many_nodes(model):
    model.graph.node.extend([helper.make_node("Identity", ["logits"], [f"n{i}"]) for i in range(100_001)])


def own_function(model):
    node = helper.make_node("Again", ["x"], ["y"], domain="com.microsoft")
    model.functions.append(helper.make_function("com.microsoft", "Again", ["x"], ["y"], [node], []))


def file_of_a_context(model):
    model.graph.node.append(helper.make_node("EPContext", ["logits"], ["more"], domain="com.microsoft"))


def external(location, **places):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **places}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return change


def external_in_a_constant(model):
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "c")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def unlisted_external(folder):
    """Data that the manifest does not list: whoever changes it changes the answers."""
    model = toy_graph()
    (folder / "weights.bin").write_bytes(model.graph.initializer[0].raw_data)
    external("weights.bin")(model)
    (folder / "model.fp32.onnx").write_bytes(model.SerializeToString())
    rehash(folder)


def rehash(folder):
    """Make the manifest agree with what was done to the folder."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def write(name, content):
    def apply(folder):
        (folder / name).unlink()
        (folder / name).write_bytes(content)

    return apply


def sparse(name, size):
    def apply(folder):
        with (folder / name).open("wb") as stream:
            stream.truncate(size)

    return apply


GRAPHS = {
    "empty": (write("model.onnx", b""), "is not an ONNX graph: it has none"),
    "pickle": (write("model.onnx", b"\x80\x04\x95cos\nsystem\n"), "is not an ONNX graph"),
    "endless-number": (write("model.onnx", b"\xff" * 64), "is not an ONNX graph"),
    "longer-than-the-file": (write("model.onnx", b"\x3a\xff\xff\xff\xff\x0f"), "is not an ONNX graph"),
    "huge-graph": (sparse("model.onnx", 2**31 + 1), "is larger than 2147483648 bytes"),
    "foreign-operator": (with_graph(foreign_operator), "needs operators of 'evil.example'"),
    "foreign-opset": (with_graph(foreign_opset), "needs operators of 'evil.example'"),
    "endless-loop": (with_graph(endless_loop), "has an operator Loop"),
    "loop-within-a-branch": (with_graph(loop_within_a_branch), "has an operator Loop"),
    "deep": (with_graph(deep), "graphs within graphs"),
    "many-nodes": (with_graph(many_nodes), "more than 100000 nodes"),
    "own-function": (with_graph(own_function), "functions or training steps of its own"),
    "context-file": (with_graph(file_of_a_context), "has an operator EPContext"),
    "data-above": (with_graph(external("../data")), "outside of the bundle, or through a link: '../data'"),
    "data-absolute": (with_graph(external("/etc/passwd")), "outside of the bundle, or through a link"),
    "data-in-memory": (with_graph(external("*/_ORT_MEM_ADDR_/*", offset="4096", length="64")), "which is missing"),
    "data-missing": (with_graph(external("nothing.bin")), "'nothing.bin', which is missing"),
    "data-beyond": (with_graph(external("config.json", offset="9999999")), "beyond the end of 'config.json'"),
    "data-nowhere": (with_graph(external("config.json", offset="-1")), "at no place in 'config.json'"),
    "data-of-a-constant": (with_graph(external_in_a_constant), "outside of the bundle, or through a link"),
}
