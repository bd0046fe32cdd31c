"""Every series that there is, at zero from the start, on a registry of its own."""

from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from app.errors import ServeError
from app.metrics import Metrics
from app.serving.model import counted
from tests.app.builders import make_manifest

FROM_THE_START = {
    "load_problems",
    "cancelled_total",
    "connections",
    "connections_dropped_total",
    "deadline_missed_total",
    "log_lines_dropped_total",
    "process_restarts_total",
    "queue_capacity_tokens",
    "queue_requests",
    "queue_tokens",
    "rejected_total",
    "resent_total",
    "runner_restarts_total",
}
OF_A_MODEL = {
    "batch_fill_ratio",
    "batch_sequences",
    "batch_tokens",
    "forward_duration_seconds",
    "forward_failures_total",
    "missed_deadline_seconds",
    "queue_duration_seconds",
    "request_duration_per_window_seconds",
    "request_duration_seconds",
    "requests_total",
    "tokenize_duration_seconds",
    "tokens_total",
    "windows_per_request",
}
WHEN_KNOWN = {  # labels that come with a bundle, an engine, a runner, a GPU or a key
    "answer_confidence",
    "answers_total",
    "engine_up",
    "gpu_memory_total_bytes",
    "gpu_memory_used_bytes",
    "gpu_utilization_ratio",
    "key_limited_total",
    "key_requests_total",
    "model_info",
    "model_load_failures_total",
    "model_loaded",
    "model_versions_refused",
    "runner_busy_ratio",
}


def make_metrics():
    return Metrics(CollectorRegistry())


def samples_of(metrics):
    """Return {name without the prefix: samples} of what is exposed."""
    found = {}
    for family in metrics.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        if family.name.startswith("roberta_"):
            found[family.name.removeprefix("roberta_") + suffix] = family.samples
    return found


def test_the_list_is_complete():
    assert set(samples_of(make_metrics())) == FROM_THE_START | OF_A_MODEL | WHEN_KNOWN | {"build_info"}


def test_every_series_exists_at_zero_from_the_start():
    metrics = make_metrics()
    before = samples_of(metrics)
    metrics.of_model("classify", "toy")
    after = samples_of(metrics)
    for name in FROM_THE_START:
        assert [sample.value for sample in before[name]] == [0] * max(1, len(before[name]))
    for name in OF_A_MODEL:
        assert after[name]
        assert {sample.value for sample in after[name]} == {0}


def test_failures_of_a_model_are_counted_from_zero():
    metrics = make_metrics()
    metrics.of_model("classify", "toy")
    codes = {sample.labels["code"]: sample.value for sample in samples_of(metrics)["requests_total"]}
    assert codes == {"200": 0, "500": 0, "503": 0, "504": 0}


def test_every_reason_of_a_rejection_exists_from_the_start():
    reasons = {sample.labels["reason"] for sample in samples_of(make_metrics())["rejected_total"]}
    assert reasons == {error.code for error in ServeError.__subclasses__() if error.before_work}
    assert {"queue_full", "request_too_large", "invalid_request", "deadline_unmeetable"} <= reasons
    assert not {"inference_failed", "internal_error", "deadline_exceeded", "client_gone"} & reasons


def test_error_codes_are_distinct():
    codes = [error.code for error in ServeError.__subclasses__()]
    assert len(codes) == len(set(codes))


def test_two_metrics_do_not_collide():
    one, other = make_metrics(), make_metrics()
    one.cancelled.inc()
    one.of_model("classify", "toy").ok.inc()
    other.of_model("classify", "toy")
    assert one.registry.get_sample_value("roberta_cancelled_total") == 1
    assert other.registry.get_sample_value("roberta_cancelled_total") == 0
    labels = {"task": "classify", "model": "toy", "code": "200"}
    assert other.registry.get_sample_value("roberta_requests_total", labels) == 0


def test_a_batch_and_a_request_are_counted_in_base_units():
    metrics = make_metrics()
    series = metrics.of_model("classify", "toy")
    series.observe_batch(sequences=4, tokens=60, computed=80, seconds=0.25)
    series.observe_request(total_s=0.3, tokenize_s=0.001, queue_s=0.002, windows=3)
    sums = {
        "request_duration_seconds": 0.3,
        "request_duration_per_window_seconds": 0.1,
        "forward_duration_seconds": 0.25,
        "batch_sequences": 4,
        "batch_tokens": 60,
        "batch_fill_ratio": 0.75,
        "tokenize_duration_seconds": 0.001,
        "queue_duration_seconds": 0.002,
        "windows_per_request": 3,
    }
    found = samples_of(metrics)
    for name, value in sums.items():
        by_name = {sample.name.removeprefix(f"roberta_{name}"): sample.value for sample in found[name]}
        assert (by_name["_sum"], by_name["_count"]) == (pytest.approx(value), 1)
    assert found["tokens_total"][0].value == 60
    ok = {"task": "classify", "model": "toy", "code": "200"}
    assert metrics.registry.get_sample_value("roberta_requests_total", ok) == 1


def test_no_series_beside_a_series_for_its_birth():
    assert not [s.name for samples in samples_of(make_metrics()).values() for s in samples if "_created" in s.name]


def test_the_process_is_reported_too():
    names = {family.name for family in make_metrics().registry.collect()}
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "python_info", "python_gc_collections"} <= names


def test_answers_are_counted_by_label_and_many_labels_are_bounded():
    metrics = make_metrics()
    labels = [f"label {number}" for number in range(500)]
    answers = metrics.of_answers("classify", "intents", labels)
    for label in (labels[0], labels[0], labels[-1], labels[-2]):
        answers.count(label, 0.9)
    answers.count("no label of the model", float("nan"))
    value, where = metrics.registry.get_sample_value, {"task": "classify", "model": "intents"}
    assert value("roberta_answers_total", {**where, "label": labels[0]}) == 2
    assert value("roberta_answers_total", {**where, "label": "(other)"}) == 3
    assert value("roberta_answers_total", {**where, "label": labels[-1]}) is None
    assert value("roberta_answer_confidence_count", where) == 4
    assert len([each for each in samples_of(metrics)["answers_total"] if each]) == 101


@pytest.mark.parametrize("is_counting", [True, False])
def test_series_of_answers_are_made_where_answers_are_counted(is_counting):
    metrics = Metrics(CollectorRegistry(), is_one_of_several=True, counts_answers=is_counting)
    task = SimpleNamespace(told_labels=lambda: ["a"], tell=None, route="classify", manifest=make_manifest())
    assert (counted(task, metrics).tell is not None) is is_counting
    assert len(samples_of(metrics)["answers_total"]) == is_counting
