"""deploy/kubernetes and deploy/kserve: what a cluster accepts, and in agreement with the service and its settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import __version__
from app.settings import Settings

pytest.importorskip("helm_python", reason="Helm renders the chart: pip install helm-python-sdk", exc_type=ImportError)
import helm_python

from tests.deploy.rendering import (
    ALL,
    CHART,
    EXAMPLES,
    NEWEST,
    OLDEST,
    ROOT,
    container,
    documents_of,
    environment,
    example,
    find,
    load,
    pod_of,
    pods_of,
    problems,
    render,
)

REFERENCE = (ROOT / "docs/reference.md").read_text("utf-8")
NEEDS_NEWER = {"bundles-volume": "1.35"}  # image volumes
OF_THE_CHART = {  # settings that the chart sets from what it mounts, or that the image sets
    "host", "port", "uds", "uds_mode", "admin_port", "admin_host", "models", "model", "device", "gpus", "api_keys",
    "api_keys_file",
}  # fmt: skip


# --- The schemas of Kubernetes and of what extends it ---------------------------------------------------------


@ALL
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_cluster_accepts_it(path, version):
    if version < NEEDS_NEWER.get(path.stem, OLDEST):
        assert any("'image' was unexpected" in each for d in documents_of(path) for each in problems(d, version))
        return
    assert [each for document in documents_of(path) for each in problems(document, version)] == []


def test_what_a_cluster_refuses_is_seen():
    deployment, keda = find(example("keda"), "Deployment"), find(example("keda"), "ScaledObject")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    keda["spec"]["triggers"][0]["treshold"] = "1"
    service = load(ROOT / "deploy/kserve/inferenceservice.yaml")
    service["spec"]["predictor"]["model"]["storageURI"] = "pvc://bundles"
    for document in (deployment, keda, service):
        assert problems(document), document["kind"]


def test_helm_finds_nothing_wrong():
    for path in EXAMPLES:
        report = helm_python.lint(CHART, load(path), strict=True)
        assert report["errors"] == [], path.name
        assert [message for message in report["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replica": 3}, "replica"),
        ({"settings": {"max_qeue_tokens": 1}}, "max_qeue_tokens"),
        ({"settings": {"api_keys": ["secret"]}}, "api_keys"),
        ({"settings": {"access": {"docs": False}}}, "must be one of 'open', 'key', 'off'"),  # YAML's off
        ({"canary": {"replicas": 1, "values": {"imag": {"tag": "2"}}}}, "imag"),
        ({"models": {"image": "a", "claim": "b"}}, "give one of them"),
        ({"gateway": {"enabled": True}}, "names no Gateway"),
        ({"keys": {"secret": "k"}, "monitoring": {"serviceMonitor": True}}, "keys.metricsSecret"),
        ({"autoscaling": {"kind": "hpa", "min": 3, "max": 2}}, "more than autoscaling.max"),
        ({"autoscaling": {"kind": "hpa", "queueTokens": 0}}, "nothing to grow by"),
        ({"autoscaling": {"kind": "keda", "queueTokens": 0, "cpuPercent": 80}}, "nothing to grow by"),
        ({"cache": {"create": True, "accessMode": "ReadWriteOncePod"}}, "for one pod"),
    ],
    ids=str,
)
def test_values_that_cannot_be_meant_are_refused(values, sentence):
    with pytest.raises(helm_python.HelmError, match=re.escape(sentence)):
        render(values)


def test_the_schema_of_values_knows_every_value_and_every_setting():
    with helm_python.Chart.load(CHART) as chart:
        schema, values = chart.schema["properties"], load(CHART / "values.yaml")
    assert schema.keys() - {"global"} == values.keys()
    for name, value in values.items():
        if (named := schema[name].get("properties")) and name != "settings":
            assert named.keys() == value.keys(), name
    known = set(schema["settings"]["propertyNames"]["enum"])
    assert known == Settings.model_fields.keys() - OF_THE_CHART, "write the new setting into values.schema.json"


# --- The service and its settings ---------------------------------------------------------------------------


@ALL
def test_every_variable_is_a_setting_whose_value_is_understood(path, monkeypatch):
    for pod in pods_of(path):
        variables = {each["name"]: each.get("value") for each in pod["containers"][0].get("env", [])}
        names = {name.removeprefix("ROBERTA_").lower() for name in variables if name.startswith("ROBERTA_")}
        assert names <= Settings.model_fields.keys()
        others = variables.keys() - {f"ROBERTA_{name.upper()}" for name in names} - {"HF_TOKEN", "POD"}
        assert [name for name in others if name not in REFERENCE] == []
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value or "from a secret")
            assert Settings(_env_file=None).model_fields_set >= names


def test_settings_arrive_as_they_were_given(monkeypatch):
    given = {
        "access": {"docs": "off"},
        "cors_origins": ["https://app.example"],
        "max_queue_tokens": 1_000_000,
        "max_queue_s": 2.5,
        "access_log": True,
        "precision": "int8",
    }
    for name, value in environment(find(render({"settings": given}), "Deployment")).items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert {name: getattr(settings, name) for name in given} == given


@ALL
def test_no_pod_takes_its_port_from_a_service_called_roberta(path):
    """KServe's runtimes cannot say so: there it is the InferenceService that has to."""
    for document in documents_of(path):
        if document["kind"] == "InferenceService":
            assert document["spec"]["predictor"]["enableServiceLinks"] is False
        elif document["kind"] == "Deployment":
            assert pod_of(document)["enableServiceLinks"] is False


@ALL
def test_the_service_is_killed_only_after_it_has_drained(path):
    for document in documents_of(path):
        if document["kind"] not in ("Deployment", "InferenceService"):
            continue
        pod = document["spec"].get("predictor") or pod_of(document)
        given = {each["name"]: each.get("value") for each in pod.get("containers", [{"env": []}])[0]["env"]}
        delay, drain = given.get("ROBERTA_SHUTDOWN_DELAY_S", 10), given.get("ROBERTA_DRAIN_TIMEOUT_S", 30)
        assert pod["terminationGracePeriodSeconds"] >= float(delay) + float(drain) + 5


def test_the_time_to_end_follows_the_settings():
    documents = render({"settings": {"shutdown_delay_s": 2.5, "drain_timeout_s": 120}})
    assert find(documents, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 133


def test_a_rollout_is_given_up_only_after_the_time_that_a_pod_may_take():
    deployment = find(render({"startSeconds": 3600}), "Deployment")
    probe = container(deployment)["startupProbe"]
    starts = probe["periodSeconds"] * probe["failureThreshold"]
    assert deployment["spec"]["progressDeadlineSeconds"] >= starts + Settings.model_fields["load_timeout_s"].default


@ALL
def test_ports_are_those_of_the_image(path):
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    port, admin = (int(re.search(rf"ROBERTA_{name}=(\d+)", dockerfile)[1]) for name in ("PORT", "ADMIN_PORT"))
    for pod in pods_of(path):
        ports = {each.get("name"): each["containerPort"] for each in pod["containers"][0].get("ports", [])}
        assert ports in ({"http": port, "admin": admin}, {None: port}, {})
    for document in documents_of(path):
        if document["kind"] == "NetworkPolicy":
            open_to_all, *rest = document["spec"]["ingress"]
            assert open_to_all["ports"] == [{"port": port, "protocol": "TCP"}]
            assert [each["ports"] for each in rest] == [[{"port": admin, "protocol": "TCP"}]]
            assert all(each["from"] for each in rest), "the admin port is for monitoring only"


@ALL
def test_probes_ask_paths_that_there_are_in_time(path, paths):
    for pod in pods_of(path):
        for checked in pod["containers"]:
            probes = [checked[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in checked]
            assert len(probes) == 3 or checked["name"] == "ask"
            ports = {each.get("name", each["containerPort"]) for each in checked.get("ports", [])}
            for probe in probes:
                assert probe["httpGet"]["path"] in paths
                assert probe["httpGet"]["port"] in ports
            if probes:
                assert "/ready" in probes[1]["httpGet"]["path"]
                assert "/live" in probes[2]["httpGet"]["path"]
                assert probes[0]["periodSeconds"] * probes[0]["failureThreshold"] >= 600


@pytest.fixture(scope="module")
def paths():
    from app.main import create_app

    return create_app(Settings(models=Path("nowhere"))).openapi()["paths"].keys()


def test_the_image_and_the_version_are_those_of_the_project():
    about = load(CHART / "Chart.yaml")
    assert about["appVersion"] == about["version"] == __version__
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for documents in (render(), example("gpu")):
        assert container(find(documents, "Deployment"))["image"].rpartition(":")[2] in stages


@pytest.mark.parametrize("path", [CHART / "values.yaml", *(path for path in EXAMPLES if path.stem == "gpu")])
def test_memory_is_enough_for_what_bounds_its_processes(path):
    """docs/reference.md, "What bounds a process's memory", for as many cores and runners as the pod has."""
    deployment = find(documents_of(path), "Deployment")
    resources = container(deployment)["resources"]
    processes = int(environment(deployment).get("ROBERTA_HTTP_WORKERS", 1))
    assert resources["requests"] == resources["limits"]
    cores, defaults = resources["limits"]["cpu"], {name: field.default for name, field in Settings.model_fields.items()}
    beside = 5 * defaults["max_body_bytes"] / 2**20 + 30 + 32  # for each core: a body parsed, a text, masks ranked
    bound = defaults["max_body_memory_mb"] + defaults["max_answer_memory_mb"] + 39 + cores * beside
    models = 235 + 3 * 93 + 100  # the figures of docs/performance.md: one model, three more, full batches of them
    assert int(resources["limits"]["memory"].removesuffix("Gi")) * 1024 > processes * bound + models
