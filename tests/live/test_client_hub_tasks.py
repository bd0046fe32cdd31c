"""The real clients of `huggingface_hub`, one blocking and one not, for the tasks that no shipped bundle answers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.support.toys import DIMENSIONS

pytestmark = pytest.mark.usefixtures("hub_clients")

TOKEN = "hf_saved_on_this_machine"
QUESTION = "where did Ada meet Bob ?"
CONTEXT = "👩‍💼 Ada Byron met Bob in Paris and Rome . the café in São Paulo isn't open ( yet ) ."
LABELS = ["a good film", "a bad film", "Paris"]
SENTENCES = ["a bad film", "a good film", "Ada met Bob"]


@pytest.fixture
def client(toys):
    """Make a client of a route, with a token that the service never asked for."""
    return lambda route: InferenceClient(model=f"{toys.url}{route}", token=TOKEN)


def test_question_answering(client):
    answer = client("/question-answering").question_answering(question=QUESTION, context=CONTEXT)
    assert CONTEXT[answer.start : answer.end] == answer.answer != ""
    assert 0 < answer.score <= 1


def test_question_answering_with_every_parameter(client):
    answers = client("/question-answering").question_answering(
        question=QUESTION,
        context=CONTEXT,
        top_k=3,
        align_to_words=True,
        doc_stride=4,
        handle_impossible_answer=True,
        max_answer_len=5,
        max_question_len=8,
        max_seq_len=32,
    )
    assert len(answers) == 3
    assert [CONTEXT[each.start : each.end] for each in answers] == [each.answer for each in answers]


def test_feature_extraction(client):
    vectors = client("/embed").feature_extraction("a good film")
    assert (vectors.shape, vectors.dtype) == ((1, DIMENSIONS), np.float32)
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)


def test_feature_extraction_with_every_parameter(client):
    vectors = client("/embed").feature_extraction(
        ["a good film", "Paris " * 100],
        normalize=False,
        prompt_name="query",
        truncate=True,
        truncation_direction="left",
        dimensions=4,
        encoding_format="float",
    )
    assert vectors.shape == (2, 4)
    assert np.linalg.norm(vectors[0]) != pytest.approx(1, abs=1e-3)


def test_zero_shot_classification(client):
    entries = client("/zero-shot").zero_shot_classification("a good film", candidate_labels=LABELS)
    assert {entry.label for entry in entries} == set(LABELS)
    assert sum(entry.score for entry in entries) == pytest.approx(1, abs=1e-5)
    assert [entry.score for entry in entries] == sorted((entry.score for entry in entries), reverse=True)


def test_zero_shot_classification_with_every_parameter(client):
    entries = client("/zero-shot").zero_shot_classification(
        "a good film", candidate_labels=LABELS, multi_label=True, hypothesis_template="this is {} ."
    )
    assert {entry.label for entry in entries} == set(LABELS)
    assert sum(entry.score for entry in entries) != pytest.approx(1, abs=1e-3)


def test_summarization(client):
    text = "It is a good film. Ada met Bob in Paris. Rome isn't a bad film. The café is open. Is it?"
    summary = client("/summarize").summarization(text)
    assert 0 < len(summary.summary_text) < len(text)
    with pytest.raises(HfHubHTTPError, match="nothing is generated here"):
        client("/summarize").summarization(text, generate_parameters={"max_new_tokens": 9})


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda client: client("/question-answering").question_answering(question="", context="a"), "inputs.question"),
        (lambda client: client("/embed").feature_extraction(""), "inputs: the text is empty"),
        (
            lambda client: client("/zero-shot").zero_shot_classification("a", candidate_labels=[]),
            "parameters.candidate_labels",
        ),
        (lambda client: client("/models/toy-judge").feature_extraction("a", dimensions=2), "dimensions"),
    ],
)
def test_what_is_wrong_reaches_the_user(client, ask, words):
    with pytest.raises(HfHubHTTPError, match=words):
        ask(client)


async def ask_everything(url: str):
    async with AsyncInferenceClient(token=TOKEN) as client:
        return await asyncio.gather(
            client.question_answering(question=QUESTION, context=CONTEXT, model=f"{url}/question-answering"),
            client.feature_extraction("a good film", model=f"{url}/embed"),
            client.zero_shot_classification("a good film", candidate_labels=LABELS, model=f"{url}/zero-shot"),
        )


def test_the_asynchronous_client(toys):
    answer, vectors, entries = asyncio.run(ask_everything(toys.url))
    assert CONTEXT[answer.start : answer.end] == answer.answer
    assert vectors.shape == (1, DIMENSIONS)
    assert {entry.label for entry in entries} == set(LABELS)


@pytest.mark.parametrize("route", ["question-answering", "embed", "similarity", "zero-shot", "explain", "summarize"])
def test_health_and_info(toys, route):
    client = InferenceClient(model=f"{toys.url}/{route}", provider="hf-inference", token=TOKEN)
    assert client.health_check() is True
    assert client.get_endpoint_info()["task"] == route
