"""Similarity: cosines of one source with many sentences, for one comparison or several."""

import numpy as np
import pytest
from pydantic import ValidationError

from app.tasks.similarity import Similarity, SimilarityRequest
from tests.app.builders import decoded, make_graph, make_manifest

SETTINGS = {"dimensions": 4, "normalize": False, "prompts": {"query": "query: "}}
ONE = {"source_sentence": "a film", "sentences": ["a film", "Paris", "a good film"]}
OTHER = {"source_sentence": "Paris", "sentences": ["a film"]}


def make_task(encoder, **settings):
    manifest = make_manifest(task="feature-extraction", labels=(), task_settings=SETTINGS | settings)
    return Similarity(manifest, encoder, make_graph())


def vector_of(window):
    return np.sin(np.outer(window.input_ids, np.arange(1, 5)).sum(axis=0, keepdims=True)).astype(np.float32)


def answer(task, inputs, **fields):
    request = SimilarityRequest.model_validate({"inputs": inputs, **fields})
    encoded = task.encode(request)
    return decoded(task, request, encoded, [vector_of(window) for window in encoded.windows])


def test_the_cosines_are_those_of_the_vectors(encoder):
    task = make_task(encoder)
    request = SimilarityRequest.model_validate({"inputs": ONE})
    source, *others = (vector_of(window)[0] for window in task.encode(request).windows)
    expected = [source @ other / np.linalg.norm(source) / np.linalg.norm(other) for other in others]
    cosines = answer(task, ONE)
    assert cosines == pytest.approx(expected, abs=1e-6)
    assert cosines[0] == 1
    assert all(len(str(cosine)) < 11 for cosine in cosines)


def test_several_comparisons_have_an_answer_each(encoder):
    task = make_task(encoder)
    assert answer(task, [ONE, OTHER]) == [answer(task, ONE), answer(task, OTHER)]
    request = SimilarityRequest.model_validate({"inputs": [ONE, OTHER]})
    assert request.count_inputs() == 6
    assert request.count_characters() == sum(map(len, request.texts()))


@pytest.mark.parametrize("place", ["truncate", "parameters"])
def test_texts_are_cut_and_have_prompts_where_that_is_asked_for(place, encoder):
    long = "a good film " * 100
    fields = {"truncate": True} if place == "truncate" else {"parameters": {"truncate": True, "prompt_name": "query"}}
    request = SimilarityRequest.model_validate({"inputs": {"source_sentence": long, "sentences": ["a"]}, **fields})
    encoded = make_task(encoder).encode(request)
    assert [len(window) for window in encoded.windows][:1] == [64]
    assert len(encoded.windows) == 2


@pytest.mark.parametrize(
    "inputs",
    [
        "a",
        {"source_sentence": "a"},
        {"source_sentence": "a", "sentences": []},
        {"source_sentence": "a", "sentences": [" "]},
        [],
    ],
    ids=str,
)
def test_requests_are_strict(inputs):
    with pytest.raises(ValidationError):
        SimilarityRequest.model_validate({"inputs": inputs})


def test_a_bundle_of_token_vectors_cannot_answer():
    settings = {"dimensions": 4, "pooling": "tokens"}
    assert "a vector for each token" in Similarity.reason_against(make_manifest(task_settings=settings))
    assert Similarity.reason_against(make_manifest(task_settings=SETTINGS)) is None
