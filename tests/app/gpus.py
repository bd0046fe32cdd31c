"""What the tests of CUDA without a GPU share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from app.window import Window


def make_windows(*lengths):
    return [Window(np.full(n, 5 + n % 7, np.int64), np.zeros(1, np.int64)) for n in lengths]


def with_graphs(bundle, *precisions, **changes):
    """Return a bundle as if it had graphs of these precisions; `changes` are of its manifest."""
    graphs = {p: bundle.manifest.graphs.get(p, bundle.manifest.graphs["fp32"]) for p in precisions}
    manifest = bundle.manifest.model_copy(update={"graphs": graphs, **changes})
    return SimpleNamespace(path=bundle.path, config=bundle.config, manifest=manifest, graph_file=bundle.graph_file)
