"""Labels of the caller's own, and explanations, in both shapes: by real clients, and beside other routes."""

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

from tests.support.server import SHAPES, Service, serve_as

pytestmark = pytest.mark.usefixtures("hub_clients")

TEXT = "Ada Byron met Bob in Paris ."
LABELS = ["travel", "a film", "good"]
OLD_CLIENT = "unknown/None; hf_hub/0.36.2; python/3.11.7"


@pytest.fixture(scope="module")
def judging_models(tiny_models, tmp_path_factory):
    """A models folder with a tiny model of entailment beside the tiny models of labels and entities."""
    from tests.support.tiny import publish_tiny, save_checkpoint, tiny_model

    models = tmp_path_factory.mktemp("judging") / "models"
    shutil.copytree(tiny_models, models)
    nli = tiny_model("text-classification", ["contradiction", "neutral", "entailment"])
    publish_tiny(save_checkpoint(nli, models.parent / "nli"), models, "tiny-nli", ("fp32",))
    return models


@pytest.fixture(scope="module", params=SHAPES)
def judging(request, judging_models, tmp_path_factory) -> Iterator[Service]:
    with serve_as(request.param, judging_models, tmp_path_factory.mktemp("judging")) as service:
        yield service


def post(service, route, inputs, agent=None, **parameters):
    headers = {} if agent is None else {"User-Agent": agent}
    answer = service.client.post(route, json={"inputs": inputs, "parameters": parameters}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_clients_of_hugging_face_choose_among_labels(judging):
    url = f"{judging.url}/zero-shot"
    found = InferenceClient(model=url).zero_shot_classification(TEXT, LABELS, hypothesis_template="a {} .")

    async def ask():
        async with AsyncInferenceClient(model=url) as client:
            return await client.zero_shot_classification(TEXT, LABELS, multi_label=True)

    several = asyncio.run(ask())
    assert {each.label for each in found} == {each.label for each in several} == set(LABELS)
    assert sum(each.score for each in found) == pytest.approx(1)
    assert [each.score for each in several] == sorted((each.score for each in several), reverse=True)
    with pytest.raises(HfHubHTTPError, match=r"has no \{\}, where the label is to stand"):
        InferenceClient(model=url).zero_shot_classification(TEXT, LABELS, hypothesis_template="it is")


def test_older_clients_get_the_answer_that_they_read(judging):
    new = post(judging, "/zero-shot", TEXT, candidate_labels=LABELS)
    old = post(judging, "/zero-shot", TEXT, OLD_CLIENT, candidate_labels=",".join(LABELS), multi_label=False)
    assert old["sequence"] == TEXT
    assert [{"label": label, "score": score} for label, score in zip(old["labels"], old["scores"], strict=True)] == new


def test_all_labels_of_a_text_are_one_request_of_windows(judging):
    post(judging, "/zero-shot", [TEXT, "good"], candidate_labels=[f"label {number}" for number in range(20)])
    assert judging.metric("roberta_windows_per_request_sum", task="zero-shot") >= 40


def test_a_model_without_entailment_is_refused_with_its_labels(judging):
    body = {"inputs": TEXT, "parameters": {"candidate_labels": LABELS}, "model": "tiny-classify"}
    answer = judging.client.post("/zero-shot", json=body)
    assert answer.status_code == 404
    assert "no label that begins with 'entail'; its labels are negative, neutral, positive" in answer.json()["error"]


def test_a_label_is_explained_with_the_score_of_classification(judging):
    scores = {each["label"]: each["score"] for each in post(judging, "/classify", TEXT)[0]}
    answer = post(judging, "/explain", TEXT, forward_passes=60)
    (found,) = answer["explanations"]
    assert found["score"] == pytest.approx(scores[found["label"]], abs=1e-5) == pytest.approx(max(scores.values()))
    parts = sum(word["score"] for word in found["words"])
    assert found["base_value"] + parts == pytest.approx(found["score"], abs=1e-6)
    assert abs(found["gap"]) < 1e-6
    assert answer["forward_passes"] <= 60


def test_entities_are_explained_with_the_scores_of_ner(judging):
    entities = post(judging, "/ner", TEXT)
    answer = judging.client.post("/explain", json={"inputs": TEXT, "model": "tiny-ner"}).json()
    for found, entity in zip(answer["explanations"], entities, strict=True):
        assert found["score"] == pytest.approx(entity["score"], abs=1e-4)
        assert (found["word"], found["start"]) == (entity["word"], entity["start"])
        assert abs(found["gap"]) < 1e-6
