"""SageMaker's and Vertex AI's ways to ask, in this process, and what these platforms say by variables."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from app.api.protocols.platforms import BY_ROUTE, is_asked_by
from app.errors import DeadlineUnmeetableError
from app.settings import Settings
from tests.app.backends import ToyBackend
from tests.app.calls import ask

PREDICT = "/v1/endpoints/1/deployedModels/2:predict"
RANKED = [{"label": "good", "score": 0.75}]


def invoke(body, path="/invocations", says=(RANKED,), headers=(), **settings):
    backend = ToyBackend()
    backend.model.task.says = list(says)
    status, _, content, _ = ask(
        path=path, backend=backend, body=json.dumps(body).encode(), headers=headers, settings=settings
    )
    return status, json.loads(content), backend.model


def predict(body, path=PREDICT, **more):
    return invoke(body, path, predict_route=path, **more)


# --- SageMaker --------------------------------------------------------------------------------------------


def test_invocations_take_the_body_of_the_default_route():
    status, answer, model = invoke({"inputs": "a good film", "parameters": {"top_k": 1}})
    assert (status, answer) == (200, [RANKED])
    assert model.asked[0][0].parameters.top_k == 1


@pytest.mark.parametrize("name", ["toy", "toy:1", None])
def test_the_body_names_the_model(name):
    assert invoke({"inputs": "a", "model": name})[0] == 200


def test_a_model_is_asked_by_its_own_task_where_it_has_not_the_default_route():
    assert invoke({"inputs": "a", "model": "toy", "raw_scores": True}, default_route="ner")[0] == 200
    status, answer, _ = invoke({"inputs": "a", "model": "toy", "parameters": {"stride": 1}}, default_route="ner")
    assert (status, answer["error"]) == (422, "parameters.stride: unknown field")
    assert invoke({"inputs": "a"}, default_route="ner")[0] == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        ({"inputs": "a", "model": "nobody"}, [], 404, "there is no model 'nobody'"),
        ({"inputs": "", "model": "toy"}, [], 422, "inputs: the text is empty"),
        ({"inputs": "a", "model": 1}, [], 422, "model: Input should be a valid string"),
        ({"inputs": "a"}, [(b"x-amzn-sagemaker-target-model", b"toy.tar.gz")], 422, "name one in the body, as `model`"),
        ({"inputs": "a"}, [(b"content-type", b"text/csv")], 415, "the body must be JSON"),
    ],
)
def test_what_is_wrong_is_said(body, headers, status, reason):
    answered, answer, _ = invoke(body, headers=headers)
    assert answered == status
    assert reason in answer["error"]


def test_it_is_alive_by_its_ping():
    assert ask("GET", "/ping")[0] == 200
    assert ask("GET", "/ping", draining=True)[0] == 503
    assert ask("GET", "/ping", settings={"api_keys": ["a-key"]})[0] == 200
    assert ask(path="/invocations", settings={"api_keys": ["a-key"]})[0] == 401


def test_refusals_are_counted_and_carry_their_time():
    backend = ToyBackend(error=DeadlineUnmeetableError("too late", retry_after_s=3))
    status, headers, content, _ = ask(path="/invocations", backend=backend)
    assert (status, headers["retry-after"], json.loads(content)["error"]) == (504, "3", "too late")
    assert backend.value("requests_total", task="classify", model="toy", code="504") == 1


# --- Vertex AI --------------------------------------------------------------------------------------------


def test_instances_get_a_prediction_each():
    status, answer, model = predict(
        {"instances": ["a", {"text": "b", "text_pair": "c"}, {"inputs": "d"}], "parameters": {"top_k": 1}},
        says=[RANKED] * 3,
    )
    assert (status, answer) == (200, {"predictions": [RANKED] * 3})
    request = model.asked[0][0]
    assert (request.inputs[0], request.inputs[1].text_pair, request.inputs[2]) == ("a", "c", "d")
    assert request.parameters.top_k == 1


def test_parameters_name_the_model():
    assert predict({"instances": ["a"], "parameters": {"model": "toy:1"}}, default_route="ner")[0] == 200
    assert predict({"instances": ["a"], "parameters": {"model": "nobody"}})[0] == 404


def test_a_raw_prediction_is_a_body_of_the_service_s_own():
    assert predict({"inputs": "a"})[:2] == (200, [RANKED])


@pytest.mark.parametrize("route", [route for route in BY_ROUTE if is_asked_by(route)])
def test_a_route_of_a_task_asks_that_task(route):
    status, answer, _ = predict({"instances": ["a"]}, path=f"/{route}", default_route="fill-mask")
    assert (status == 200) is (route == "classify")
    assert status == 200 or f"no model for /{route} is loaded" in answer["error"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"instances": []}, "instances: List should have at least 1 item"),
        ({"instances": [1]}, "inputs.0: must be a text"),
        ({"instances": ["a"], "parameters": {"top_n": 1}}, "parameters.top_n: unknown field"),
        ({"instances": ["a"], "options": {}}, "options: unknown field"),
    ],
)
def test_what_is_wrong_with_instances_is_named(body, reason):
    status, answer, model = predict(body)
    assert (status, model.asked) == (422, [])
    assert reason in answer["error"]


def test_without_a_route_there_is_none():
    assert ask(path=PREDICT)[0] == 404
    assert ask("GET", "/vertex/health")[0] == 404
    assert ask("GET", "/vertex/health", settings={"health_route": "/vertex/health"})[0] == 200
    assert ask("GET", "/ping", settings={"health_route": "/ping"})[0] == 200


# --- Variables --------------------------------------------------------------------------------------------


def test_a_platform_s_variables_go_before_those_of_the_image_and_behind_what_is_given(monkeypatch):
    monkeypatch.setenv("ROBERTA_PORT", "8000")
    monkeypatch.setenv("AIP_HTTP_PORT", "8080")
    monkeypatch.setenv("AIP_PREDICT_ROUTE", PREDICT)
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "/vertex/health/")
    settings = Settings()
    assert (settings.port, settings.predict_route, settings.health_route) == (8080, PREDICT, "/vertex/health")
    assert Settings(port=9000).port == 9000
    monkeypatch.delenv("AIP_HTTP_PORT")
    assert Settings().port == 8000
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "8081")
    assert Settings().port == 8081


def test_a_route_that_is_no_path_is_refused(monkeypatch):
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "predict")
    with pytest.raises(ValidationError, match="must be a path that begins with a slash"):
        Settings()
