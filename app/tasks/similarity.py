"""Sentence similarity: how near sentences are to another one, by the cosine of their vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Discriminator, Field, Tag

from app.tasks.base import Answered, Encoded, TaskRequest, Text, branch_of
from app.tasks.embed import EmbedRequest, EmbedState
from app.tasks.of_embeddings import OfEmbeddings
from app.tasks.parameters import NullIs, Parameters, Strict
from app.window import Floats

EXAMPLE: dict[str, Any] = {
    "inputs": {
        "source_sentence": "The soup was cold.",
        "sentences": ["Our meal came lukewarm.", "The hotel has a pool."],
    }
}
DIGITS = 7  # of a cosine after the point, as many as float32 has


class Comparison(Strict):
    """A sentence, and those that it is compared with."""

    source_sentence: Text
    sentences: Annotated[list[Text], Field(min_length=1, fail_fast=True)]

    def texts(self) -> list[str]:
        return [self.source_sentence, *self.sentences]


class SimilarityParameters(Parameters):
    truncate: bool | None = Field(None, description="Text Embeddings Inference's place for `truncate`.")
    truncation_direction: Literal["right", "Right", "left", "Left"] | None = Field(None, description="As beside.")
    prompt_name: str | None = Field(
        None, description="Which of the bundle's prompts is put before each text. Null: its default prompt."
    )

    @property
    def truncates(self) -> bool:
        return super().truncates if self.truncate is None else self.truncate


class SimilarityRequest(TaskRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    inputs: Annotated[
        Annotated[Comparison, Tag("<pair>")]
        | Annotated[list[Comparison], Field(min_length=1, fail_fast=True), Tag("<list>")],
        Discriminator(
            branch_of,
            custom_error_type="inputs_type",
            custom_error_message='must be {"source_sentence", "sentences"} or a list of those',
        ),
    ]
    truncation_direction: Literal["right", "Right", "left", "Left"] | None = Field(  # type: ignore[assignment]
        None, description="Which end of a long text is cut off, where it is truncated."
    )
    parameters: Annotated[SimilarityParameters, NullIs(SimilarityParameters())] = SimilarityParameters()

    def comparisons(self) -> list[Comparison]:
        return self.inputs if isinstance(self.inputs, list) else [self.inputs]

    def texts(self) -> list[str]:
        return [text for each in self.comparisons() for text in each.texts()]

    def count_inputs(self) -> int:
        return sum(1 + len(each.sentences) for each in self.comparisons())

    def count_characters(self) -> int:
        return sum(map(len, self.texts()))

    def embedding(self) -> EmbedRequest:
        """Return the request for the vectors of all texts."""
        asked = self.parameters
        return EmbedRequest(
            inputs=self.texts(),
            truncate=self.truncates,
            truncation_direction=self.truncation_direction or asked.truncation_direction,
            normalize=True,
            prompt_name=asked.prompt_name,
        )


class Similarity(OfEmbeddings[SimilarityRequest, EmbedState]):
    """For each sentence its cosine with the source; for several sources, a list of those."""

    name = "sentence-similarity"
    route = "similarity"
    request_type = SimilarityRequest
    answer_type = list[float] | list[list[float]]
    example = EXAMPLE
    answered = Answered(EXAMPLE, [0.3646, -0.0075])

    def encode(self, request: SimilarityRequest) -> Encoded[EmbedState]:
        return self.embed.encode(request.embedding())

    def decode(self, request: SimilarityRequest, state: EmbedState, outputs: Sequence[Floats]) -> list[Any]:
        vectors = np.concatenate(list(self.embed.blocks(state, outputs)))  # (texts, width), of length 1
        answers = list(self.cosines(request, vectors))
        return answers if isinstance(request.inputs, list) else answers[0]

    @classmethod
    def columns(cls, request: SimilarityRequest) -> dict[str, Any]:
        return {"similarities": list[float]}

    def cells(self, answer: list[float]) -> dict[str, Any]:
        return {"similarities": answer}

    def cosines(self, request: SimilarityRequest, vectors: Floats) -> Iterator[list[float]]:
        """Yield the cosines of each comparison."""
        start = 0
        for each in request.comparisons():
            end = start + 1 + len(each.sentences)
            cosines = vectors[start + 1 : end].astype(np.float64) @ vectors[start]
            yield np.clip(np.round(cosines, DIGITS), -1, 1).tolist()
            start = end
