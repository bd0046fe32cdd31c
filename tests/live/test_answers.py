"""What the routes answer over real HTTP: bodies, parameters, headers, pages and the OpenAPI document."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.answers import assert_alike
from tests.support.server import ThreadService

LABELS = {"negative", "neutral", "positive"}
TEXT = "Ada Byron met Bob in Paris ."
MASKED = "a good and <mask> film ."
BODIES = {
    "/classify": {"inputs": TEXT},
    "/ner": {"inputs": TEXT, "parameters": {"ignore_labels": []}},
    "/fill-mask": {"inputs": MASKED},
}


def ask(service: ThreadService, path: str, inputs: object, **fields: object) -> Any:
    response = service.client.post(path, json={"inputs": inputs, **fields})
    assert response.status_code == 200, response.text
    return response.json()


# --- Classification ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [TEXT, [TEXT], {"text": TEXT, "text_pair": "a bad film ."}])
def test_one_input_is_a_list_of_one_ranking(tiny, inputs):
    (ranking,) = ask(tiny, "/classify", inputs)

    assert {entry["label"] for entry in ranking} == LABELS
    scores = [entry["score"] for entry in ranking]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)


def test_several_inputs_are_answered_in_order(tiny):
    texts = [TEXT, {"text": "a bad film", "text_pair": "cold and dull"}, "a good and lovely film ."]

    together = ask(tiny, "/classify", texts)

    assert_alike(together, [ask(tiny, "/classify", text)[0] for text in texts], 1e-4)


@pytest.mark.parametrize("top_k", [1, 2, 3, 9, None])
def test_top_k_keeps_the_best(tiny, top_k):
    (ranking,) = ask(tiny, "/classify", TEXT)

    (best,) = ask(tiny, "/classify", TEXT, parameters={"top_k": top_k})

    assert_alike(best, ranking[:top_k], 1e-6)


def test_the_function_from_logits_to_scores_can_be_chosen(tiny):
    def scores(function: str) -> dict[str, float]:
        (ranking,) = ask(tiny, "/classify", TEXT, parameters={"function_to_apply": function})
        return {entry["label"]: entry["score"] for entry in ranking}

    softmax, sigmoid, none = scores("softmax"), scores("sigmoid"), scores("none")

    assert sum(softmax.values()) == pytest.approx(1, abs=1e-5)
    assert all(0 < score < 1 for score in sigmoid.values())
    assert sum(sigmoid.values()) != pytest.approx(1, abs=1e-3)
    assert min(none.values()) < 0 or max(none.values()) > 1
    assert list(softmax) == list(sigmoid) == list(none)


# --- Fill-mask --------------------------------------------------------------------------------------------


def test_one_mask_is_a_list_of_candidates(tiny):
    candidates = ask(tiny, "/fill-mask", MASKED)

    assert len(candidates) == 5
    for candidate in candidates:
        assert candidate.keys() == {"score", "token", "token_str", "sequence"}
        assert candidate["sequence"] == f"a good and{candidate['token_str']} film ."
    scores = [candidate["score"] for candidate in candidates]
    assert scores == sorted(scores, reverse=True)


def test_several_masks_are_a_list_for_each(tiny):
    first, second = ask(tiny, "/fill-mask", "a <mask> and <mask> film .", parameters={"top_k": 2})

    assert [candidate["sequence"] for candidate in first] == [
        f"a{candidate['token_str']} and <mask> film ." for candidate in first
    ]
    assert [candidate["sequence"] for candidate in second] == [
        f"a <mask> and{candidate['token_str']} film ." for candidate in second
    ]


def test_several_texts_are_a_list_for_each(tiny):
    texts = [MASKED, "a <mask> and <mask> film ."]

    assert_alike(ask(tiny, "/fill-mask", texts), [ask(tiny, "/fill-mask", text) for text in texts], 1e-4)


def test_targets_are_the_only_candidates_at_their_share_of_the_whole_vocabulary(tiny):
    everything = ask(tiny, "/fill-mask", MASKED, parameters={"top_k": 1000})
    scores = {candidate["token_str"]: candidate["score"] for candidate in everything}

    chosen = ask(tiny, "/fill-mask", MASKED, parameters={"targets": ["film", "good"]})

    assert {candidate["token_str"].strip() for candidate in chosen} == {"film", "good"}
    for candidate in chosen:
        assert candidate["score"] == pytest.approx(scores[candidate["token_str"]], abs=1e-5)


def test_the_generic_mask_is_understood(tiny):
    assert ask(tiny, "/fill-mask", "a good and [MASK] film .") == ask(tiny, "/fill-mask", MASKED)


# --- Named entities ---------------------------------------------------------------------------------------


def test_one_text_is_a_list_and_a_list_is_a_list_of_lists(tiny):
    parameters = {"ignore_labels": []}
    one = ask(tiny, "/ner", TEXT, parameters=parameters)

    assert one
    assert all(entity.keys() == {"entity_group", "score", "word", "start", "end"} for entity in one)
    assert_alike(ask(tiny, "/ner", [TEXT, "a film", TEXT], parameters=parameters)[2], one, 1e-4)


def test_without_aggregation_every_token_has_an_entry(tiny):
    tokens = ask(tiny, "/ner", TEXT, parameters={"aggregation_strategy": "none", "ignore_labels": []})

    assert all(token.keys() == {"entity", "score", "index", "word", "start", "end"} for token in tokens)
    assert [token["index"] for token in tokens] == list(range(1, len(tokens) + 1))
    assert "".join(token["word"] for token in tokens) == TEXT.replace(" ", "")


def test_ignored_labels_are_left_out(tiny):
    everything = ask(tiny, "/ner", TEXT, parameters={"ignore_labels": []})
    groups = {entity["entity_group"] for entity in everything}

    for group in groups:
        rest = ask(tiny, "/ner", TEXT, parameters={"ignore_labels": [group]})
        assert {entity["entity_group"] for entity in rest} == groups - {group}


# --- Texts that other services stumble on -----------------------------------------------------------------


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ufeffa", "\u200b", "\U0010ffff", "�", "</s><s>", "<pad>", "."])
@pytest.mark.parametrize("path", BODIES)
def test_odd_characters_are_answered(tiny, path, text):
    ask(tiny, path, f"{text} <mask>" if path == "/fill-mask" else text)


# --- Choosing a model -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/classify", {}),
        ("/", {}),
        ("/models/tiny-classify", {}),
        ("/models/tiny-classify:1", {}),
        ("/models/tiny-classify", {"model": "tiny-classify"}),
        ("/classify?model=tiny-classify", {}),
        ("/classify?model=tiny-classify:1", {}),
        ("/classify", {"model": "tiny-classify"}),
        ("/classify", {"model": "tiny-classify:1"}),
        ("/classify?model=nobody", {"model": "tiny-classify"}),
    ],
)
def test_every_way_to_name_a_model_asks_the_same_one(tiny, path, fields):
    response = tiny.client.post(path, json={"inputs": TEXT, **fields})

    assert response.headers["x-model"] == "tiny-classify:1"
    assert_alike(response.json(), ask(tiny, "/classify", TEXT), 1e-6)


def test_models_are_described(tiny):
    models = {model["name"]: model for model in tiny.client.get("/models").json()["models"]}

    assert models.keys() == {"tiny-classify", "tiny-fill-mask", "tiny-ner"}
    assert {name: model["route"] for name, model in models.items()} == {
        "tiny-classify": "/classify",
        "tiny-fill-mask": "/fill-mask",
        "tiny-ner": "/ner",
    }
    for name, model in models.items():
        assert model == tiny.client.get(f"/models/{name}").json() == tiny.client.get(f"/models/{name}:1").json()
        assert (model["state"], model["precision"], model["version"]) == ("ready", "int8", 1)
        assert model["provider"] == "CPUExecutionProvider"
        assert model["verified"] is True


# --- Headers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BODIES)
def test_an_answer_says_who_answered_and_where_the_time_went(tiny, path):
    response = tiny.client.post(path, json=BODIES[path], headers={"X-Request-Id": "mine", "X-Priority": "+10"})

    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == "mine"
    assert response.headers["x-model"] == f"tiny-{path[1:]}:1"
    timing = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
    assert list(timing) == ["tokenize", "queue", "forward", "total"]
    assert 0 < float(timing["forward"]) <= float(timing["total"])


def test_an_answer_is_utf_8(tiny):
    response = tiny.client.post("/ner", json={"inputs": "São Paulo 🧑🏽‍🚀", "parameters": {"ignore_labels": []}})

    assert json.loads(response.content.decode("utf-8")) == response.json()
    assert "ã".encode() in response.content


# --- Pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_are_html(tiny, path):
    response = tiny.client.get(path)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "<html" in response.text


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/ner/health", "/info", "/ner/info"])
def test_health_and_info_are_json(tiny, path):
    response = tiny.client.get(path)

    assert response.status_code == 200
    assert isinstance(response.json(), dict)


def test_openapi_describes_the_bodies_of_the_three_tasks(tiny):
    document = tiny.client.get("/openapi.json").json()

    for path in BODIES:
        operation = document["paths"][path]["post"]
        body = resolve(document, operation["requestBody"]["content"]["application/json"]["schema"])
        assert {"inputs", "parameters", "model", "truncate"} <= body["properties"].keys()
        assert body["required"] == ["inputs"]
        assert body["additionalProperties"] is False
        assert operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert {"400", "404", "413", "415", "422", "429", "500", "503", "504"} <= operation["responses"].keys()


def test_openapi_refers_to_nothing_that_is_not_there(tiny):
    document = tiny.client.get("/openapi.json").json()
    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))

    assert references
    for reference in references:
        assert isinstance(resolve(document, {"$ref": reference}), dict)


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the document; a schema without one is itself."""
    if "$ref" not in schema:
        return schema
    root, *parts = schema["$ref"].split("/")
    assert root == "#"
    found = document
    for part in parts:
        found = found[part]
    return found
