"""The Open Inference Protocol in this process: what a body asks of a task, what its answer is, and what is refused."""

from __future__ import annotations

import json

import pytest

from app.api.protocols.tensors import packed
from app.errors import QueueFullError
from app.tasks import TASKS
from app.tasks.asking import answers_of, body_of, inputs_of, takes_inputs, takes_lists
from app.tasks.classify import ClassifyRequest, TextPair
from tests.app.backends import ToyBackend
from tests.app.calls import ask

INFER = "/v2/models/toy/infer"
RANKED = [[{"label": "good", "score": 0.75}, {"label": "bad", "score": 0.25}]]


def tensor(*texts, name="text", **more):
    return {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts), **more}


def infer(*tensors, path=INFER, backend=None, headers=(), body=None, **fields):
    backend = backend or answering(RANKED)
    content = json.dumps({"inputs": list(tensors), **fields}).encode() if body is None else body
    status, sent, answer, _ = ask(path=path, backend=backend, body=content, headers=headers)
    return status, sent, json.loads(answer) if sent["content-type"] == "application/json" else answer, backend.model


def answering(says):
    backend = ToyBackend()
    backend.model.task.says = says
    return backend


def asked(model):
    ((request, _, _),) = model.asked
    return request


def test_every_column_of_the_answer_is_a_tensor():
    status, headers, answer, model = infer(tensor("a good film"), id="seven")
    assert (status, headers["x-model"]) == (200, "toy:1")
    outputs = answer.pop("outputs")
    assert answer == {"model_name": "toy", "model_version": "1", "id": "seven"}
    assert outputs[:2] == [
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["good"]},
        {"name": "score", "datatype": "FP32", "shape": [1], "data": [0.75]},
    ]
    assert json.loads(outputs[2]["data"][0]) == RANKED[0]
    assert asked(model) == ClassifyRequest(inputs=["a good film"])


@pytest.mark.parametrize("path", [INFER, "/v2/models/toy/versions/1/infer", "/v2/models/classify/infer", f"/{INFER}/"])
def test_a_model_is_asked_by_its_name_its_version_or_its_task(path):
    assert infer(tensor("a"), path=path)[0] == 200


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v2/models/nobody/infer", "there is no model 'nobody'"),
        ("/v2/models/toy/versions/2/infer", "version '2'"),
        ("/v2/models/ner/infer", "no model for /ner"),
    ],
)
def test_what_is_not_served_is_a_404_with_a_sentence(path, reason):
    status, _, answer, _ = infer(tensor("a"), path=path)
    assert status == 404
    assert reason in answer["error"]


def test_pairs_are_two_tensors_with_the_names_of_their_fields():
    model = infer(tensor("b", "d", name="text_pair"), tensor("a", "c"), backend=answering(RANKED * 2))[3]
    assert asked(model).inputs == [TextPair(text="a", text_pair="b"), TextPair(text="c", text_pair="d")]


def test_parameters_are_those_of_the_task():
    _, _, answer, model = infer(tensor("a"), parameters={"top_k": 1, "truncate": True, "binary_data_output": False})
    assert (asked(model).parameters.top_k, asked(model).truncate) == (1, True)
    assert [each["name"] for each in answer["outputs"]] == ["label", "score"]


def test_a_task_s_models_are_chosen_among_and_a_model_is_not():
    parameters = {"model": "toy"}
    assert infer(tensor("a"), path="/v2/models/classify/infer", parameters=parameters)[0] == 200
    assert "the path already names" in infer(tensor("a"), parameters=parameters)[2]["error"]


def test_data_in_binary_go_in_and_out_after_the_json():
    texts = packed(["a good film", "ein schöner Film"])
    described = {"name": "x", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": len(texts)}}
    wanted = [{"name": "score"}, {"name": "label", "parameters": {"binary_data": False}}]
    head = json.dumps(
        {"inputs": [described], "outputs": wanted, "parameters": {"binary_data_output": True}},
    ).encode()
    headers = [
        (b"inference-header-content-length", b"%d" % len(head)),
        (b"content-type", b"application/octet-stream"),
    ]
    status, sent, answer, model = infer(body=head + texts, headers=headers, backend=answering(RANKED * 2))
    assert (status, sent["content-type"]) == (200, "application/octet-stream")
    length = int(sent["inference-header-content-length"])
    score, label = json.loads(answer[:length])["outputs"]
    assert score == {"name": "score", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
    assert label["data"] == ["good", "good"]
    assert answer[length:] == bytes.fromhex("0000403f") * 2
    assert asked(model).inputs == ["a good film", "ein schöner Film"]


@pytest.mark.parametrize("length", [b"-1", b"x", b"9999", b"1" * 5000, b""])
def test_a_length_that_is_none_is_refused(length):
    status, _, answer, _ = infer(tensor("a"), headers=[(b"inference-header-content-length", length)])
    assert status == 422
    assert "Inference-Header-Content-Length must be" in answer["error"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"inputs": []}, "inputs: "),
        ({"inputs": [tensor("a", datatype="FP32")]}, "inputs.0.datatype: Input should be 'BYTES'"),
        ({"inputs": [tensor("")]}, "inputs.0: the text is empty"),
        ({"inputs": [tensor("a"), tensor("b")]}, "inputs: 'text' is there twice"),
        ({"inputs": [tensor("a"), tensor("b", name="other")]}, "send text and text_pair or one tensor"),
        ({"inputs": [tensor("a"), tensor("b", "c", name="text_pair")]}, "there are 1 of text and 2 of the other"),
        ({"inputs": [tensor("a", parameters={"binary_data_size": 5}, data=None)]}, "have 0 bytes, and 5 by"),
        ({"outputs": [{"name": "logits"}]}, "outputs: there is no 'logits', but label, score, labels"),
        ({"outputs": [{"name": "label", "parameters": {"classification": 2}}]}, "classification: unknown field"),
        ({"parameters": {"top_n": 1}}, "parameters.top_n: unknown field"),
        ({"parameters": {"inputs": "a"}}, "parameters.inputs: unknown field"),
        ({"parameters": {"priority": 1}}, "parameters.priority: send the header X-Priority"),
        ({"parameters": {"timeout": -1}}, "parameters.timeout must be a positive whole number of microseconds"),
        ({"input": "a"}, "input: unknown field; inputs may be meant"),
    ],
)
def test_what_is_wrong_is_named(fields, reason):
    body = json.dumps({"inputs": [tensor("a")], **fields}).encode()
    status, _, answer, model = infer(body=body)
    assert (status, model.asked) == (422, [])
    assert reason in answer["error"]


def test_a_timeout_in_microseconds_is_a_deadline():
    status, _, answer, _ = infer(tensor("a"), parameters={"timeout": 1})
    assert (status, answer["error_type"]) == (504, "deadline_exceeded")
    assert infer(tensor("a"), parameters={"timeout": 60_000_000})[0] == 200


def test_refusals_are_counted_by_the_task_and_the_model():
    backend = ToyBackend(error=QueueFullError("the queue is full", retry_after_s=2))
    status, headers, answer, _ = infer(tensor("a"), backend=backend)
    assert (status, headers["retry-after"], answer["error"]) == (429, "2", "the queue is full")
    assert backend.value("requests_total", task="classify", model="toy", code="429") == 1


# --- Pages ------------------------------------------------------------------------------------------------


def get(path, **more):
    status, _, content, _ = ask("GET", path, **more)
    return status, json.loads(content)


@pytest.mark.parametrize("name", ["toy", "classify", "toy/versions/1"])
def test_the_metadata_of_a_model_has_its_tensors(name):
    _, metadata = get(f"/v2/models/{name}")
    assert metadata == {
        "name": name.partition("/")[0],
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": each, "datatype": "BYTES", "shape": [-1]} for each in ("text", "text_pair")],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
            {"name": "labels", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def test_the_pages_say_what_is_ready():
    assert get("/v2")[1]["extensions"] == ["binary_tensor_data"]
    assert get("/v2/health/live") == (200, {"live": True})
    assert get("/v2/health/ready") == (200, {"ready": True})
    assert get("/v2/models/toy/ready") == (200, {"name": "toy", "ready": True})
    assert get("/v2/models/nobody/ready")[0] == get("/v2/models/toy/versions/2/ready")[0] == 404
    assert get("/v2/health/ready", draining=True) == (503, {"ready": False})
    assert get("/v2/models/toy/ready", draining=True) == (503, {"name": "toy", "ready": False})


def test_metadata_need_a_key_where_there_are_any_and_probes_none():
    settings = {"api_keys": ["a-key"]}
    assert [get(f"/v2{path}", settings=settings)[0] for path in ("", "/models/toy")] == [401, 401]
    assert [get(f"/v2{path}", settings=settings)[0] for path in ("/health/ready", "/models/toy/ready")] == [200, 200]
    assert ask(path=INFER, settings=settings)[0] == 401


def test_another_method_is_a_405():
    assert ask("GET", INFER)[0] == 405


# --- Every task -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [task for task in TASKS.values() if takes_inputs(task)], ids=lambda task: task.route)
def test_every_task_s_example_can_be_asked_by_the_input(task):
    example = task.example["inputs"]
    inputs = inputs_of(task, [example])
    assert takes_lists(task) is (inputs == [example])
    options = {name: value for name, value in task.example.items() if name not in ("inputs", "parameters")}
    body = body_of(task.request_type, inputs, options | task.example.get("parameters", {}))
    assert task.request_type.model_validate_json(json.dumps(body)).count_inputs() >= 1
    assert list(answers_of(task, ["an answer"])) == (["an answer"] if takes_lists(task) else [["an answer"]])
