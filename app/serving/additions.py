"""What is added to the graphs of a folder of the Hub, so that each answers what its task reads: vectors of windows."""

from __future__ import annotations

from app.bundle import BundleError, Precision
from app.bundle.graph_file import GraphFacts
from app.bundle.graph_kind import pooled_output_of, token_output_of
from app.bundle.hub_folder import HubFolder
from app.graphs.pooling import add_choice, add_pooling


def additions_to(folder: HubFolder, pooling: str | None) -> dict[Precision, bytes]:
    """Return what is added to each graph, in ONNX's format; nothing where `pooling` is None.

    `pooling` says how a window's vector is made of those of its tokens, None that a task reads the graph as it is.
    Raises `BundleError` for a graph that has neither.
    """
    if pooling is None:
        return {}
    return {precision: addition_to(folder, facts, pooling) for precision, facts in folder.graphs.items()}


def addition_to(folder: HubFolder, facts: GraphFacts, pooling: str) -> bytes:
    tokens, pooled = token_output_of(facts), pooled_output_of(facts)
    if folder.has_token_vectors and tokens is not None:
        if pooling == "tokens":
            return add_choice(tokens, "windows", "tokens", folder.hidden_size)
        dense = () if folder.modules is None else folder.modules.dense
        return add_pooling(pooling, tokens, folder.hidden_size, dense, has_mask="attention_mask" in facts.inputs)
    if pooled is not None and pooling != "tokens":
        return add_choice(pooled, "windows", folder.dimensions)
    raise BundleError(
        f"its graph answers {', '.join(facts.outputs) or 'nothing'}, and neither last_hidden_state nor "
        "sentence_embedding; export it for feature-extraction"
    )
