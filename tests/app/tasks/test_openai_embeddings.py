"""OpenAI's embeddings: the vectors of /embed in OpenAI's form."""

import numpy as np
import pytest
from pydantic import ValidationError
from pydantic_core import from_json

from app.tasks.embed import Embed, EmbedRequest
from app.tasks.openai_embeddings import EmbeddingsRequest, OpenAIEmbeddings
from tests.app.builders import decoded, make_graph, make_manifest

MANIFEST = make_manifest(task="feature-extraction", labels=(), task_settings={"dimensions": 4})


def outputs_of(encoded):
    return [np.sin(np.arange(4, dtype=np.float32) + len(window))[None] for window in encoded.windows]


@pytest.mark.parametrize("encoding_format", [None, "float", "base64"])
@pytest.mark.parametrize("dimensions", [None, 2])
@pytest.mark.parametrize("count", [1, 5000])
def test_the_vectors_are_those_of_embed(count, dimensions, encoding_format, encoder):
    task, embed = OpenAIEmbeddings(MANIFEST, encoder, make_graph()), Embed(MANIFEST, encoder, make_graph())
    fields = {"dimensions": dimensions, "encoding_format": encoding_format}
    request = EmbeddingsRequest.model_validate({"input": ["a film", "Paris"] * count, "model": "toy", **fields})
    same = EmbedRequest.model_validate({"inputs": ["a film", "Paris"] * count, **fields})
    encoded = task.encode(request)
    outputs = outputs_of(encoded)
    content = task.render(request, encoded.state, outputs)
    answer = from_json(content)
    assert [entry["embedding"] for entry in answer["data"]] == from_json(embed.render(same, encoded.state, outputs))
    assert [entry["index"] for entry in answer["data"]] == list(range(2 * count))
    tokens = sum(map(len, encoded.windows))
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer["model"] == "toy"
    assert len(content) <= encoded.answer_bytes + 200
    plain = decoded(task, request, encoded, outputs)
    for both in zip(answer["data"], plain["data"], strict=True):
        vectors = [entry.pop("embedding") for entry in both]
        assert both[0] == both[1]
        assert vectors[0] == vectors[1] or np.array_equal(*np.array(vectors, np.float32))


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]]], ids=str)
def test_token_ids_are_refused_with_what_to_do(ids):
    with pytest.raises(ValidationError, match=r"token ids are not taken.*check_embedding_ctx_length=False"):
        EmbeddingsRequest.model_validate({"input": ids})


@pytest.mark.parametrize(
    "body", [{"input": ""}, {"input": []}, {"input": ["a", 1]}, {"input": "a", "inputs": "a"}], ids=str
)
def test_requests_are_strict(body):
    with pytest.raises(ValidationError):
        EmbeddingsRequest.model_validate(body)


def test_a_long_text_is_truncated_where_that_is_asked_for(encoder):
    task = OpenAIEmbeddings(MANIFEST, encoder, make_graph())
    for fields, windows in (({}, 5), ({"truncate": True}, 1), ({"parameters": {"max_length": 16}}, 1)):
        request = EmbeddingsRequest.model_validate({"input": "a good film " * 60, **fields})
        assert min(windows, 2) == min(len(task.encode(request).windows), 2)
