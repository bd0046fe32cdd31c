"""The real clients of embeddings, unchanged: openai and huggingface_hub, blocking and not, in both shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import openai
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient

from tests.support.embedding import write_embedding
from tests.support.server import SHAPES, Service, serve_as

pytestmark = pytest.mark.usefixtures("hub_clients")

TEXTS = ["A warm film.", "Paris is good.", "The soup was cold, and nobody came. " * 40]


@pytest.fixture(scope="module", params=SHAPES)
def served(request, tokenizer, tmp_path_factory) -> Iterator[Service]:
    models = tmp_path_factory.mktemp("models")
    backend = tokenizer.backend_tokenizer
    write_embedding(models, backend, prompts={"query": "query: "})
    write_embedding(models, backend, "toy-tokens", pooling="tokens")
    with serve_as(request.param, models, tmp_path_factory.mktemp("served")) as service:
        yield service


@pytest.fixture
def vectors(served):
    """What /embed answers for the texts, (3, WIDTH)."""
    answer = served.client.post("/embed", json={"inputs": TEXTS})
    assert answer.headers["x-model"] == "toy-embed:1"
    return np.array(answer.json(), np.float32)


@pytest.fixture
def openai_client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_openai_asks_for_base64_and_gets_the_same_vectors(openai_client, vectors):
    for fields in ({}, {"encoding_format": "float"}):
        answer = openai_client.embeddings.create(model="toy-embed", input=TEXTS, **fields)
        assert np.array_equal(np.array([each.embedding for each in answer.data], np.float32), vectors)
        assert answer.model == "toy-embed"
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    (one,) = openai_client.embeddings.create(model="toy-embed", input=TEXTS[0], dimensions=4).data
    assert len(one.embedding) == 4
    assert np.isclose(np.linalg.norm(one.embedding), 1)


def test_openai_without_blocking(served, vectors):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
            answers = await asyncio.gather(*(client.embeddings.create(model="toy-embed", input=text) for text in TEXTS))
            return [answer.data[0].embedding for answer in answers], await client.models.list()

    found, models = asyncio.run(ask())
    assert np.allclose(np.array(found, np.float32), vectors, atol=1e-6)
    assert [model.id for model in models.data] == ["toy-embed"]


def test_openai_reads_models_and_errors(openai_client):
    assert openai_client.models.retrieve("toy-embed").id == "toy-embed"
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'"):
        openai_client.models.retrieve("gpt")
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'"):
        openai_client.embeddings.create(model="gpt", input="a")
    with pytest.raises(openai.NotFoundError, match="'toy-tokens' has a vector for each token, and none for a text"):
        openai_client.embeddings.create(model="toy-tokens", input="a")
    with pytest.raises(openai.UnprocessableEntityError, match="token ids are not taken"):
        openai_client.embeddings.create(model="toy-embed", input=[[1, 2, 3]])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_huggingface_hub(served, vectors):
    client = InferenceClient(model=f"{served.url}/embed")
    assert np.array_equal(client.feature_extraction(TEXTS[0]), vectors[:1])
    whole = client.feature_extraction(TEXTS[0], normalize=False)
    cut = client.feature_extraction(TEXTS[0], dimensions=4, truncate=True, truncation_direction="left")
    assert np.allclose(cut, whole[:, :4] / np.linalg.norm(whole[:, :4]), atol=1e-6)
    assert not np.array_equal(client.feature_extraction(TEXTS[0], prompt_name="query"), vectors[:1])
    similar = InferenceClient(model=f"{served.url}/similarity").sentence_similarity(TEXTS[0], other_sentences=TEXTS[:2])
    assert similar == pytest.approx((vectors[:2] @ vectors[0]).tolist(), abs=1e-5)


def test_huggingface_hub_without_blocking(served, vectors):
    async def ask():
        async with AsyncInferenceClient(model=f"{served.url}/embed") as client:
            embedded = await asyncio.gather(*map(client.feature_extraction, TEXTS))
        async with AsyncInferenceClient(model=f"{served.url}/similarity") as client:
            return embedded, await client.sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:2])

    embedded, (cosine,) = asyncio.run(ask())
    assert np.allclose(np.concatenate(embedded), vectors, atol=1e-6)
    assert cosine == pytest.approx(vectors[0] @ vectors[1], abs=1e-5)
