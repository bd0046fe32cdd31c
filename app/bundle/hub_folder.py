"""What is known of a folder without a manifest, from which the manifest is made that it would have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.bundle.config import whole_number
from app.bundle.graph_file import GraphFacts
from app.bundle.graph_kind import pooled_output_of, token_output_of
from app.bundle.manifest import Precision
from app.bundle.sentence_modules import SentenceModules

HIDDEN_SIZES = ("hidden_size", "dim", "d_model")  # names of configs for the width of token vectors


@dataclass(frozen=True)
class HubFolder:
    """A folder as Optimum and the Hub make it: its config, its graphs, and the modules of sentence-transformers."""

    config: dict[str, Any]
    graphs: Mapping[Precision, GraphFacts]
    modules: SentenceModules | None = None

    @property
    def has_token_vectors(self) -> bool:
        """Whether every graph answers a vector for each token."""
        return all(token_output_of(facts) is not None for facts in self.graphs.values())

    @property
    def hidden_size(self) -> int:
        """The width of token vectors: as a graph states it, or the config. Raises `BundleError` where neither does."""
        stated = (facts.outputs[name] for facts in self.graphs.values() if (name := token_output_of(facts)) is not None)
        if (width := next(filter(None, stated), None)) is not None:
            return width
        return whole_number(self.config, next((name for name in HIDDEN_SIZES if name in self.config), HIDDEN_SIZES[0]))

    @property
    def dimensions(self) -> int:
        """The width of a window's vector."""
        if self.modules is not None:
            return self.modules.dimensions(self.hidden_size)
        stated = (
            facts.outputs[name] for facts in self.graphs.values() if (name := pooled_output_of(facts)) is not None
        )
        return self.hidden_size if self.has_token_vectors else next(filter(None, stated), None) or self.hidden_size

    def max_length(self, known: int) -> int:
        """Return the longest window, which the modules may bound."""
        limit = None if self.modules is None else self.modules.max_length
        return known if limit is None else min(known, limit)
