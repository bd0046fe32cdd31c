"""What the chart makes for a cluster: who may do what, where models come from, two versions, and its page."""

from __future__ import annotations

import re

import pytest
import yaml
from prometheus_client import CollectorRegistry

from app.metrics import Metrics
from app.settings import Settings

pytest.importorskip("helm_python", reason="Helm renders the chart: pip install helm-python-sdk", exc_type=ImportError)
from tests.deploy.rendering import (
    ALL,
    CHART,
    EXAMPLES,
    KSERVE,
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
    scaling_problem,
)

PAGE = (ROOT / "docs/kubernetes.md").read_text("utf-8")
SERIES = {family.name for family in Metrics(CollectorRegistry()).registry.collect()}


def selects(service, pod_labels):
    return service["spec"]["selector"].items() <= pod_labels.items()


def labels_of(deployment):
    return deployment["spec"]["template"]["metadata"]["labels"]


# --- Security ---------------------------------------------------------------------------------------------


@ALL
def test_every_container_is_locked(path):
    for pod in pods_of(path):
        for each in [*pod["containers"], *pod.get("initContainers", [])]:
            security = {**pod.get("securityContext", {}), **each["securityContext"]}
            assert security["runAsNonRoot"] is True
            assert security["runAsUser"] == 10001
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert "memory" in each["resources"]["limits"]


@ALL
def test_what_is_mounted_is_there_and_the_temporary_folder_can_be_written(path):
    for pod in pods_of(path):
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for each in [*pod["containers"], *pod.get("initContainers", [])]:
            mounts = {mount["mountPath"]: mount["name"] for mount in each.get("volumeMounts", [])}
            assert set(mounts.values()) <= volumes
            assert "/tmp" in mounts or each["name"] in ("ask", "models")


@ALL
def test_no_token_of_the_cluster_is_mounted(path):
    """KServe's runtimes cannot say so: there it is the InferenceService that has to."""
    for document in documents_of(path):
        pod = document.get("spec", {}).get("predictor") or pod_of(document)
        if pod is not None and document["kind"] != "ClusterServingRuntime":
            assert pod["automountServiceAccountToken"] is False


def test_keys_are_a_folder_so_that_a_changed_secret_is_followed():
    deployment = find(example("keys"), "Deployment")
    [mount] = [m for m in container(deployment)["volumeMounts"] if m["name"] == "keys"]
    assert "subPath" not in mount
    assert environment(deployment)["ROBERTA_API_KEYS_FILE"] == f"{mount['mountPath']}/keys.toml"
    [endpoint] = find(example("keys"), "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "roberta-metrics-key", "key": "key"}


def test_only_models_of_the_hub_are_fetched_from_outside():
    def ports(name):
        return [p["port"] for rule in find(example(name), "NetworkPolicy")["spec"]["egress"] for p in rule["ports"]]

    assert ports("claim") == [53, 53]
    assert ports("hub") == [53, 53, 443]


def test_where_clients_are_named_helm_can_still_ask():
    documents = example("ingress")
    allowed, _ = find(documents, "NetworkPolicy")["spec"]["ingress"]
    labels = find(documents, "Pod", "-test")["metadata"]["labels"]
    selectors = [peer["podSelector"]["matchLabels"] for peer in allowed["from"] if "podSelector" in peer]
    assert any(selector.items() <= labels.items() for selector in selectors)
    assert not selects(find(documents, "Service", "roberta-serve"), labels), "it is not one of those that answer"


@pytest.mark.parametrize("values", [{}, {"gpu": {"count": 1}}], ids=["cpu", "gpu"])
def test_helm_asks_from_where_the_image_can_be_had_and_run(values):
    values |= {
        "image": {"pullSecrets": [{"name": "registry"}]},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "models", "operator": "Exists"}],
    }
    documents = render(values)
    asks, pod = find(documents, "Pod", "-test")["spec"], pod_of(find(documents, "Deployment"))
    for name in ("imagePullSecrets", "nodeSelector", "tolerations"):
        assert asks[name] == pod[name], name
    assert asks["containers"][0]["image"] == pod["containers"][0]["image"]


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, "urlopen('http://roberta-serve:8000/"),
        ({"ssl_certfile": "/tls/tls.crt"}, "urlopen('https://roberta-serve:8000/"),
        ({"ssl_certfile": "/tls/tls.crt", "ssl_ca_certs": "/tls/ca.crt"}, "create_connection(('roberta-serve', 8000)"),
    ],
    ids=["http", "TLS", "certificates of clients"],
)
def test_helm_asks_as_the_service_listens(settings, asks):
    [ask] = find(render({"settings": settings}), "Pod", "-test")["spec"]["containers"]
    python, flag, code = ask["command"]
    assert (python, flag) == ("python", "-c")
    assert asks in code
    compile(code, "test", "exec")


def test_an_ingress_for_every_host_has_a_certificate():
    documents = render({"ingress": {"enabled": True, "tlsSecret": "everywhere"}})
    assert find(documents, "Ingress")["spec"]["tls"] == [{"secretName": "everywhere"}]


# --- Models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["claim", "bundles-image", "bundles-volume"])
def test_bundles_are_served_from_where_they_are_mounted_and_cannot_be_written(name):
    deployment = find(example(name), "Deployment")
    [mount] = [m for m in container(deployment)["volumeMounts"] if m["name"] == "models"]
    assert mount["readOnly"] is True
    models = environment(deployment)["ROBERTA_MODELS"]
    assert models == mount["mountPath"] + ("/models" if name == "bundles-volume" else "")
    assert "ROBERTA_MODEL" not in environment(deployment)
    if name == "bundles-image":
        [copies] = deployment["spec"]["template"]["spec"]["initContainers"]
        assert copies["command"] == ["cp", "-R", "/models/.", f"{mount['mountPath']}/"]


def test_models_of_the_hub_are_named_and_kept_in_the_claim():
    documents = example("hub")
    deployment, claim = find(documents, "Deployment"), find(documents, "PersistentVolumeClaim")
    assert environment(deployment)["ROBERTA_MODEL"] == "acme/reviews@v2 tags=acme/entities"
    [volume] = [v for v in deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == "cache"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    [mount] = [m for m in container(deployment)["volumeMounts"] if m["name"] == "cache"]
    assert f"HF_HOME={mount['mountPath']}" in (ROOT / "Dockerfile").read_text("utf-8")


# --- Two versions -----------------------------------------------------------------------------------------


def test_without_a_gateway_both_versions_are_behind_one_service_by_their_pods():
    documents = example("canary")
    stable, canary = (find(documents, "Deployment", ending) for ending in ("roberta-serve", "-canary"))
    service = find(documents, "Service", "roberta-serve")
    assert selects(service, labels_of(stable))
    assert selects(service, labels_of(canary))
    assert (stable["spec"]["replicas"], canary["spec"]["replicas"]) == (9, 1)
    images = [d["spec"]["template"]["spec"]["initContainers"][0]["image"] for d in (stable, canary)]
    assert [image.rpartition(":")[2] for image in images] == ["7", "8"]


def test_neither_version_counts_the_other_ones_pods():
    documents = example("canary")
    deployments = [d for d in documents if d["kind"] == "Deployment"]
    for one in deployments:
        for other in deployments:
            matches = one["spec"]["selector"]["matchLabels"].items() <= labels_of(other).items()
            assert matches == (one is other)


def test_with_a_gateway_each_version_has_its_share_of_the_requests():
    documents = example("gateway")
    [rule] = find(documents, "HTTPRoute")["spec"]["rules"]
    assert float(rule["timeouts"]["request"].removesuffix("s")) > Settings.model_fields["request_timeout_s"].default
    weights = {each["name"]: each["weight"] for each in rule["backendRefs"]}
    assert weights == {"roberta-serve-stable": 95, "roberta-serve-canary": 5}
    for name in weights:
        service = find(documents, "Service", name)
        tracks = {
            d["metadata"]["name"] for d in documents if d["kind"] == "Deployment" and selects(service, labels_of(d))
        }
        assert tracks == {"roberta-serve" if name.endswith("stable") else name}
    images = [container(d)["image"] for d in documents if d["kind"] == "Deployment"]
    assert sorted(images) == ["roberta-serve:0.2.0-cpu", "roberta-serve:cpu"]


def test_a_canary_differs_in_nothing_but_its_values():
    documents = render({"canary": {"replicas": 1}})
    stable, canary = (find(documents, "Deployment", ending)["spec"]["template"] for ending in ("serve", "-canary"))
    assert canary["metadata"]["labels"].pop("track") != stable["metadata"]["labels"].pop("track")
    assert canary == stable


# --- The page ---------------------------------------------------------------------------------------------


def leaves(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict) and value and f"{prefix}{name}" not in TABLES:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


TABLES = {"settings", "monitoring.dashboardLabels"}  # of which each has a row of its own


def test_every_value_has_its_row():
    rows = set(re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE))
    assert rows == set(leaves(load(CHART / "values.yaml")))


def test_every_example_is_named():
    named = set(re.findall(r"values/([\w-]+)\.yaml", PAGE))
    assert named == {path.stem for path in EXAMPLES}


def test_commands_of_the_page_name_files_that_there_are():
    for file in re.findall(r"deploy/[\w./-]+", PAGE):
        assert (ROOT / file.rstrip("./")).exists(), file


@pytest.mark.parametrize("path", KSERVE, ids=lambda path: path.stem)
def test_kserve_accepts_how_it_grows(path):
    services = [each for each in documents_of(path) if each["kind"] == "InferenceService"]
    assert [scaling_problem(each) for each in services] == [None] * len(services)


@pytest.mark.parametrize("path", KSERVE, ids=lambda path: path.stem)
def test_prometheus_is_told_the_admin_port(path):
    admin = re.search(r"ROBERTA_ADMIN_PORT=(\d+)", (ROOT / "Dockerfile").read_text("utf-8"))[1]
    for document in documents_of(path):
        of_runtime = document["spec"].get("annotations", {}).get("prometheus.kserve.io/port")
        assert document["metadata"].get("annotations", {}).get("prometheus.io/port", of_runtime) == admin


def test_what_the_page_adds_to_an_inference_service_is_accepted():
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    service = load(ROOT / "deploy/kserve/inferenceservice.yaml")
    for name in ("scaleMetric", "scaleTarget"):
        assert f"`{name}`" in PAGE
        service["spec"]["predictor"].pop(name)
    service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = "keda"
    service["spec"]["predictor"] |= (added := yaml.safe_load(block))
    assert problems(service) == []
    assert scaling_problem(service) is None
    query = added["autoScaling"]["metrics"][0]["external"]["metric"]["query"]
    assert set(re.findall(r"roberta_\w+", query)) <= SERIES


@ALL
def test_names_are_short_enough_for_a_cluster(path):
    for document in documents_of(path):
        assert len(document["metadata"]["name"]) <= 63
