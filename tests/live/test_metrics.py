"""/metrics after real requests: every series, valid, and nonzero where something happened."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import SHAPES, Service, held, serve_as, until

TASKS = ["classify", "ner", "fill-mask"]
FAMILIES = {
    "roberta_requests": "counter",
    "roberta_request_duration_seconds": "histogram",
    "roberta_request_duration_per_window_seconds": "histogram",
    "roberta_missed_deadline_seconds": "histogram",
    "roberta_tokenize_duration_seconds": "histogram",
    "roberta_queue_duration_seconds": "histogram",
    "roberta_forward_duration_seconds": "histogram",
    "roberta_batch_sequences": "histogram",
    "roberta_batch_tokens": "histogram",
    "roberta_batch_fill_ratio": "histogram",
    "roberta_queue_tokens": "gauge",
    "roberta_queue_requests": "gauge",
    "roberta_process_restarts": "counter",
    "roberta_engine_up": "gauge",
    "roberta_resent": "counter",
    "roberta_runner_restarts": "counter",
    "roberta_rejected": "counter",
    "roberta_cancelled": "counter",
    "roberta_deadline_missed": "counter",
    "roberta_windows_per_request": "histogram",
    "roberta_tokens": "counter",
    "roberta_model_info": "gauge",
    "roberta_model_loaded": "gauge",
    "roberta_model_load_failures": "counter",
    "roberta_forward_failures": "counter",
    "roberta_runner_busy_ratio": "gauge",
    "roberta_gpu_memory_used_bytes": "gauge",
    "roberta_gpu_utilization_ratio": "gauge",
}


@pytest.fixture(scope="module", params=SHAPES)
def service(request, tiny_models, tmp_path_factory) -> Iterator[Service]:
    """A service that has answered one request of each task, and refused one."""
    with serve_as(request.param, tiny_models, tmp_path_factory.mktemp("metrics")) as service:
        service.client.get("/metrics")
        for task in TASKS:
            assert service.client.post(f"/{task}", json={"inputs": "a good <mask> film"}).status_code == 200
        service.client.post("/classify", json={"inputs": ""})
        yield service


@pytest.mark.parametrize("shape", SHAPES)
def test_every_family_is_there_from_the_start(shape, tiny_models, tmp_path):
    with serve_as(shape, tiny_models, tmp_path) as service:
        text = service.client.get("/metrics").text
        models = service.client.get("/models").json()["models"]
        families = {family.name: family for family in text_string_to_metric_families(text)}

    assert {name: families[name].type for name in FAMILIES} == FAMILIES
    routes = sum(len(model["routes"]) for model in models)
    for name, number in {"requests": 4 * routes, "tokens": 3, "forward_failures": 3, "model_load_failures": 3}.items():
        samples = families[f"roberta_{name}"].samples
        assert len(samples) == number
        assert all(sample.value == 0 for sample in samples)
    for name in ("cancelled", "deadline_missed", "queue_tokens", "queue_requests"):
        assert [sample.value for sample in families[f"roberta_{name}"].samples] == [0]


@pytest.mark.parametrize("task", TASKS)
def test_a_request_is_counted_once_in_every_series(service, task):
    request = {"task": task, "model": f"tiny-{task}"}
    batch = {"model": f"tiny-{task}"}

    assert service.metric("roberta_requests_total", code="200", **request) == 1
    for name in ("request_duration_seconds", "tokenize_duration_seconds", "queue_duration_seconds"):
        assert service.metric(f"roberta_{name}_count", **request) == 1
    assert service.metric("roberta_windows_per_request_sum", **request) == 1
    for name in ("forward_duration_seconds", "batch_sequences", "batch_tokens", "batch_fill_ratio"):
        assert service.metric(f"roberta_{name}_count", **batch) == 1
        assert service.metric(f"roberta_{name}_sum", **batch) > 0
    assert service.metric("roberta_batch_sequences_sum", **batch) == 1
    assert service.metric("roberta_batch_fill_ratio_sum", **batch) == 1
    assert service.metric("roberta_tokens_total", **batch) == service.metric("roberta_batch_tokens_sum", **batch) > 4
    assert service.metric("roberta_model_info", precision="int8", layout="packed", version="1", **batch) == 1
    assert service.metric("roberta_model_loaded", **batch) == 1


def test_a_refusal_is_counted(service):
    assert service.metric("roberta_requests_total", task="classify", code="422") == 1
    assert service.metric("roberta_rejected_total", reason="invalid_request") == 1


def test_a_missed_deadline_is_counted_with_the_time_that_was_given(service):
    of_ner = {"task": "ner", "model": "tiny-ner"}
    hasty = {"X-Request-Timeout-Ms": "200"}

    def missed() -> float:
        assert service.client.post("/ner", json={"inputs": "a film"}, headers=hasty).status_code == 504
        return service.metric("roberta_missed_deadline_seconds_count", **of_ner)

    with held(service, "tiny-ner"):
        until(missed)
    assert service.metric("roberta_missed_deadline_seconds_bucket", le="0.1", **of_ner) == 0
    counted = service.metric("roberta_missed_deadline_seconds_bucket", le="1.0", **of_ner)
    assert counted == service.metric("roberta_requests_total", code="504", **of_ner) > 0


def test_runners_are_busy_while_they_work(service):
    service.client.post("/classify", json={"inputs": ["a good and lovely film"] * 500})

    assert 0 < service.metric("roberta_runner_busy_ratio") <= service.runners()
    assert service.metric("roberta_queue_tokens") == service.metric("roberta_queue_requests") == 0


def test_openmetrics_is_served_to_a_scraper_that_asks_for_it(service):
    response = service.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert FAMILIES.keys() <= {family.name for family in openmetrics.text_string_to_metric_families(response.text)}


def test_promtool_finds_no_fault(service):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on the PATH")

    found = subprocess.run(
        [promtool, "check", "metrics"], input=service.client.get("/metrics").content, capture_output=True, check=False
    )

    assert found.returncode == 0, found.stderr.decode()
