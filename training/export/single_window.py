"""A batch of a single window needs no attention grid: every layer gets a branch for it.

That branch gathers nothing and masks nothing. It computes the same bits as the grid in less time; the gain grows with
the length of the window.
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from app.graphs.rewriting import Rewriter, copy_of

INPUT = "single_window"  # () bool: whether the batch is one window
FIRST_AXIS = "first_axis"


def branch_for_single_windows(model: ModelProto) -> ModelProto:
    """Return a packed graph with a branch for a single window beside each attention over the grid."""
    rewriter = Rewriter(model)
    for attention in rewriter.find("Attention"):
        grid = chain_of(rewriter, attention)
        branch = helper.make_node(
            "If",
            [INPUT],
            list(grid[-1].output),
            then_branch=branch_of("single_window", single(*grid)),
            else_branch=branch_of("grid", renamed(grid)),
        )
        rewriter.replace(grid[-1], branch)
    rewriter.weights[FIRST_AXIS] = np.array([0])
    rewriter.inputs.append(helper.make_tensor_value_info(INPUT, TensorProto.BOOL, []))
    return rewriter.finish()


def chain_of(rewriter: Rewriter, attention: NodeProto) -> list[NodeProto]:
    """Return what `GridAttention` was exported to: Gather -> Split -> Attention -> Reshape -> Gather."""
    split = rewriter.producer(attention.input[0])
    assert split is not None
    gather = rewriter.producer(split.input[0])
    assert gather is not None
    (reshape,) = rewriter.readers(attention.output[0])
    (unpadded,) = rewriter.readers(reshape.output[0])
    return [gather, split, attention, reshape, unpadded]


def single(gather: NodeProto, split: NodeProto, attention: NodeProto, *_: NodeProto) -> list[NodeProto]:
    """Attend within (1, T, 3 * hidden), the whole batch."""
    row, context = f"{gather.output[0]}.single", f"{attention.output[0]}.single"
    parts = [f"{name}.single" for name in split.output]
    attend = helper.make_node("Attention", parts, [context])
    attend.input.extend(name for name in attention.input[3:] if name != "attention_mask")  # a local mask still holds
    attend.attribute.extend(attention.attribute)
    cut = helper.make_node("Split", [row], parts)
    cut.attribute.extend(split.attribute)
    return [
        helper.make_node("Unsqueeze", [gather.input[0], FIRST_AXIS], [row]),
        cut,
        attend,
        helper.make_node("Squeeze", [context, FIRST_AXIS], [f"{context}.rows"]),
    ]


def renamed(nodes: list[NodeProto]) -> list[NodeProto]:
    """Copy the nodes of a branch and rename their last output: the If has the old name."""
    copies = [copy_of(node) for node in nodes]
    copies[-1].output[0] += ".grid"
    return copies


def branch_of(name: str, nodes: list[NodeProto]) -> GraphProto:
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)  # (T, hidden)
    return helper.make_graph(nodes, name, [], [output])
