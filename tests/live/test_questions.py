"""Questions over HTTP, in both shapes: our own bundle, a folder of the Hub with two outputs, and the real clients."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

import pytest
from huggingface_hub import (
    AsyncInferenceClient,
    InferenceClient,
)
from huggingface_hub.errors import HfHubHTTPError

from tests.app.builders import write_hub_folder
from tests.support.reader_graph import reader_graph
from tests.support.server import SHAPES, Service, serve_as

pytestmark = pytest.mark.usefixtures("hub_clients")

QUESTION, CONTEXT = "Who met Bob?", "Ada 😀 met Bob in Paris and Rome ."
LONG = " ".join(f"{name} met Bob in Rome ." for name in ("Ada", "Byron", "Paris", "Bob", "Rome") * 20)


@pytest.fixture(scope="module", params=SHAPES)
def reader(request, tiny_reader_models, tokenizer, tmp_path_factory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("readers")
    models = shutil.copytree(tiny_reader_models, folder / "models")
    config = {"architectures": ["RobertaForQuestionAnswering"]}
    write_hub_folder(models / "other-reader", tokenizer.backend_tokenizer, config, graph=reader_graph())
    with serve_as(request.param, models, folder, default_models={"question-answering": "tiny-reader"}) as service:
        yield service


@pytest.mark.parametrize("path", ["/question-answering", "/models/other-reader"])
def test_answers_are_exactly_their_parts_of_the_contexts(path, reader):
    inputs = {"question": QUESTION, "context": [CONTEXT, LONG, "a good film"]}
    answers = reader.client.post(path, json={"inputs": inputs, "parameters": {"top_k": 2}}).raise_for_status().json()
    for context, found in zip(inputs["context"], answers, strict=True):
        assert len(found) == 2
        for answer in found:
            assert answer["answer"] == context[answer["start"] : answer["end"]] != ""
    pairs = [{"question": QUESTION, "context": context} for context in inputs["context"]]
    assert [each[0] for each in answers] == reader.client.post(path, json={"inputs": pairs}).json()
    older = reader.client.post(path, json=pairs[0]).json()
    assert older == pytest.approx(answers[0][0], abs=1e-4)


def test_the_clients_of_hugging_face(reader):
    url = f"{reader.url}/question-answering"
    best = InferenceClient(model=url).question_answering(QUESTION, CONTEXT)
    assert best.answer == CONTEXT[best.start : best.end] != ""
    some = InferenceClient(model=url).question_answering(
        question=QUESTION,
        context=LONG,
        align_to_words=False,
        doc_stride=16,
        handle_impossible_answer=True,
        max_answer_len=3,
        max_question_len=8,
        max_seq_len=48,
        top_k=3,
    )
    assert len(some) == 3
    assert all(each.answer == LONG[each.start : each.end] for each in some)

    async def ask():
        async with AsyncInferenceClient() as client:
            return await client.question_answering(question=QUESTION, context=CONTEXT, model=url)

    assert asyncio.run(ask()) == best
    with pytest.raises(HfHubHTTPError, match=r"inputs\.context: the text is empty"):
        InferenceClient(model=url).question_answering(QUESTION, " ")
