"""What the tasks have in common that are asked of embedding models."""

from __future__ import annotations

from app.bundle import Graph, Manifest
from app.tasks.base import RequestT, SecondaryTask, StateT, settings_of
from app.tasks.embed import Embed, EmbedSettings
from app.tasks.text import TextEncoder


class OfEmbeddings(SecondaryTask[RequestT, StateT]):
    """A question to the vectors of texts, which `embed` makes."""

    models_of = (Embed.name,)

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        super().__init__(manifest, encoder, graph)
        self.embed = Embed(manifest, encoder, graph)

    @classmethod
    def reason_against(cls, manifest: Manifest) -> str | None:
        pooling = settings_of(manifest, EmbedSettings).pooling
        return "has a vector for each token, and none for a text" if pooling == "tokens" else None
