"""OpenAI's embeddings: the same vectors as those of `app.tasks.embed`, in the form that OpenAI's clients know.

Source: OpenAI's API reference, "Create embeddings", and the package openai 3.57.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.tasks.base import Answered, Encoded, TaskRequest, Texts
from app.tasks.embed import (
    EmbedParameters,
    EmbedRequest,
    EmbedState,
    EncodingFormat,
)
from app.tasks.of_embeddings import OfEmbeddings
from app.tasks.parameters import WHOLE
from app.tasks.pausing import pause
from app.tasks.vectors import as_lists, in_base64
from app.window import Floats

EXAMPLE: dict[str, Any] = {"input": "A warm, funny and beautifully acted film."}
ENTRY_BYTES = 64  # of an answer beside each vector


def reject_token_ids(value: object) -> object:
    """Raise `ValueError` for numbers of tokens: which tokenizer has made them is not said."""
    if isinstance(value, list) and value and isinstance(value[0], int | list):
        raise ValueError(
            "token ids are not taken, because no tokenizer but the model's own makes fitting ones; send texts "
            "(in LangChain: check_embedding_ctx_length=False)"
        )
    return value


class EmbeddingsRequest(TaskRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    input: Annotated[Texts, BeforeValidator(reject_token_ids)] = Field(description="A text, or a list of texts.")
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Keep the first numbers of each vector only; they are normalized after that."
    )
    encoding_format: EncodingFormat | None = Field(
        None, description="`base64`: the bytes of little-endian float32 numbers. Null: float."
    )
    user: str | None = Field(None, description="OpenAI's name of an end user, which means nothing here.")

    def texts(self) -> list[str]:
        return self.input if isinstance(self.input, list) else [self.input]

    def count_inputs(self) -> int:
        return len(self.texts())

    def count_characters(self) -> int:
        return sum(map(len, self.texts()))

    def embedding(self) -> EmbedRequest:
        """Return the request for the same vectors in Hugging Face's form."""
        asked = self.parameters
        return EmbedRequest(
            inputs=self.input,
            truncate=self.truncates,
            truncation_direction=self.truncation_direction,
            parameters=EmbedParameters(max_length=asked.max_length, truncation=asked.truncation),
            dimensions=self.dimensions,
            encoding_format=self.encoding_format,
        )


class Embedding(TypedDict):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class Embeddings(TypedDict):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class OpenAIEmbeddings(OfEmbeddings[EmbeddingsRequest, EmbedState]):
    """A vector for each text, as OpenAI answers it; `usage` counts the tokens that were computed."""

    name = "openai-embeddings"
    route = "v1/embeddings"
    title = "Embeddings of OpenAI's form"
    request_type = EmbeddingsRequest
    answer_type = Embeddings
    example = EXAMPLE
    answered = Answered(
        {"input": "The soup was cold.", "dimensions": 4},
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [-0.6063, 0.199, 0.1926, 0.7455]}],
            "model": "embedding",
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
        },
    )

    def encode(self, request: EmbeddingsRequest) -> Encoded[EmbedState]:
        encoded = self.embed.encode(request.embedding())
        size = encoded.answer_bytes + ENTRY_BYTES * request.count_inputs()
        return Encoded(encoded.windows, encoded.state, size)

    def decode(self, request: EmbeddingsRequest, state: EmbedState, outputs: Sequence[Floats]) -> Embeddings:
        entries = [entry for block in self.entries(state, outputs) for entry in block]
        data = [Embedding(object="embedding", index=n, embedding=as_list(each)) for n, each in entries]
        return Embeddings(object="list", data=data, model=self.manifest.name, usage=usage_of(state))

    def render(self, request: EmbeddingsRequest, state: EmbedState, outputs: Sequence[Floats]) -> bytes:
        """Each number has as many digits as tell it from every other float32."""
        parts = []
        for block in self.entries(state, outputs):
            pause()
            data = [{"object": "embedding", "index": number, "embedding": each} for number, each in block]
            parts.append(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
        rest = orjson.dumps({"model": self.manifest.name, "usage": usage_of(state)})[1:]
        return b'{"object":"list","data":[' + b",".join(parts) + b"]," + rest

    def entries(self, state: EmbedState, outputs: Sequence[Floats]) -> Iterator[list[tuple[int, Floats | str]]]:
        """Yield the vectors of some texts after the other, each with its number, in the form that was asked for."""
        number = 0
        for vectors in self.embed.blocks(state, outputs):
            forms = list(map(in_base64, vectors)) if state.asked.encoding_format == "base64" else list(vectors)
            yield list(enumerate(forms, number))
            number += len(forms)


def as_list(vector: Floats | str) -> list[float] | str:
    return vector if isinstance(vector, str) else as_lists(vector)


def usage_of(state: EmbedState) -> Usage:
    tokens = sum(map(sum, state.lengths))
    return Usage(prompt_tokens=tokens, total_tokens=tokens)
