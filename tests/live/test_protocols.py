"""Other services' protocols on the live service, in both shapes: tritonclient unchanged, and what platforms send."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.tasks import TASKS
from app.tasks.asking import takes_inputs
from tests.support.answers import assert_alike
from tests.support.server import REPOSITORY, SHAPES, Service, serve_as

HERE = Path(__file__).parent / "clients"
TRITON = Path(sys.prefix) / "triton" / "bin" / "python"  # `make clients` puts it there: it pins a library of torch's
PAGE = (REPOSITORY / "docs" / "protocols.md").read_text(encoding="utf-8")
PREDICT, HEALTH = "/v1/endpoints/1:predict", "/vertex"
TIMEOUT_S = 120


@pytest.fixture(scope="module", params=SHAPES)
def served(request, tiny_models, tmp_path_factory) -> Iterator[Service]:
    routes = {"predict_route": PREDICT, "health_route": HEALTH}
    with serve_as(request.param, tiny_models, tmp_path_factory.mktemp("served"), **routes) as service:
        yield service


def post(service: Service, path: str, body: object) -> httpx.Response:
    return service.client.post(path, json=body)


def test_triton_s_clients(served):
    """In an environment of its own, which is another interpreter: its checks are in `clients/ask_triton.py`."""
    if not TRITON.exists():
        pytest.skip("tritonclient is not installed: make clients")
    line = [str(TRITON), str(HERE / "ask_triton.py"), served.url.removeprefix("http://")]
    done = subprocess.run(line, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    answers = json.loads(done.stdout)
    texts = ["a good film", "ein schöner Film"]
    own = post(served, "/classify", {"inputs": texts, "parameters": {"top_k": 1}}).json()
    for way in ("json", "binary", "compressed", "asyncio"):
        assert answers[way]["label"] == [best["label"] for (best,) in own]
        assert answers[way]["score"] == pytest.approx([best["score"] for (best,) in own], abs=1e-3)
    entities = post(served, "/ner", {"inputs": ["Ada Byron"], "parameters": {"aggregation_strategy": "none"}}).json()
    assert_alike(json.loads(answers["entities"][0]), entities[0], 1e-3)
    assert answers["ready"] == [True, True, True, True, True, False]
    assert answers["metadata"]["inputs"][1]["name"] == "text_pair"
    assert answers["server"]["name"] == "roberta-serve"
    assert "there is no model 'nobody'" in answers["unknown"]
    assert "inputs.0: the text is empty" in answers["empty"]


def test_platforms_ask_and_get_what_the_service_s_own_paths_answer(served):
    asked = {"inputs": ["a good film", "Ada"], "parameters": {"top_k": 1}}
    own = post(served, "/classify", asked).json()
    assert_alike(post(served, "/invocations", asked).json(), own, 1e-3)
    assert_alike(post(served, PREDICT, asked).json(), own, 1e-3)
    instances = {"instances": asked["inputs"], "parameters": asked["parameters"]}
    assert_alike(post(served, PREDICT, instances).json(), {"predictions": own}, 1e-3)
    entities = post(served, "/models/tiny-ner", {"inputs": ["Ada Byron"]}).json()
    instances = {"instances": ["Ada Byron"], "parameters": {"model": "tiny-ner"}}
    assert_alike(post(served, PREDICT, instances).json(), {"predictions": entities}, 1e-3)
    answer = post(served, "/invocations", {"inputs": "a <mask> film", "model": "tiny-fill-mask"})
    assert (answer.status_code, answer.headers["x-model"]) == (200, "tiny-fill-mask:1")
    assert served.metric("roberta_requests_total", task="fill-mask", model="tiny-fill-mask", code="200") >= 1
    assert [served.client.get(path).status_code for path in ("/ping", HEALTH, "/v2/health/live")] == [200, 200, 200]


def test_every_task_answers_in_columns_of_its_own(toys):
    """They are those of the page's files and of `roberta-serve predict` too."""
    for task in filter(takes_inputs, TASKS.values()):
        described = toys.client.get(f"/v2/models/{task.route}")
        if described.status_code == 404:  # no toy answers it
            continue
        names = {each["name"] for each in described.json()["outputs"]}
        assert names != {"answer"}, task.route
        example = task.example["inputs"]
        element = example if isinstance(example, str) else json.dumps(example)
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [element]}
        fields = {"inputs": [tensor], "parameters": task.example.get("parameters", {})}
        answer = post(toys, f"/v2/models/{task.route}/infer", fields)
        assert answer.status_code == 200, answer.text
        assert {each["name"] for each in answer.json()["outputs"]} == names


def test_large_bodies_are_read_beside_others(served):
    texts = ["a good film"] * 1000
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1000], "data": texts}
    fields = {"inputs": [tensor], "outputs": [{"name": "score"}]}
    scores = post(served, "/v2/models/tiny-classify/infer", fields).json()["outputs"][0]["data"]
    (answers,) = post(served, PREDICT, {"instances": texts, "parameters": {"top_k": 1}}).json().values()
    assert len(scores) == len(answers) == 1000
    assert scores == pytest.approx([best["score"] for (best,) in answers], abs=1e-3)
    too_many = post(served, PREDICT, {"instances": texts * 2})
    assert (too_many.status_code, too_many.json()["error_type"]) == (413, "request_too_large")


def test_the_instances_of_the_page_get_the_predictions_of_the_page(shipped):
    asked, answered = map(json.loads, re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    own = post(shipped, "/classify", {"inputs": asked["instances"], "parameters": asked["parameters"]}).json()
    assert_alike({"predictions": own}, answered, 0.01)


def test_the_client_of_the_page_prints_labels_with_scores(shipped):
    if not TRITON.exists():
        pytest.skip("tritonclient is not installed: make clients")
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    code = code.replace("localhost:8000", shipped.url.removeprefix("http://"))
    done = subprocess.run([str(TRITON), "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "positive" in done.stdout
    assert "negative" in done.stdout
