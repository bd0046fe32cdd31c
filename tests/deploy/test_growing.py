"""What the chart has watched and how it lets a cluster add pods, in agreement with Prometheus's own files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client import CollectorRegistry

from app import __version__
from app.metrics import Metrics
from app.settings import Settings

pytest.importorskip("helm_python", reason="Helm renders the chart: pip install helm-python-sdk", exc_type=ImportError)
import helm_python

from deploy.release import building
from deploy.release.version import Repository
from tests.deploy.rendering import CHART, ROOT, container, environment, example, find, load, render

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
SERIES = {family.name for family in Metrics(CollectorRegistry()).registry.collect()}


# --- Watching ---------------------------------------------------------------------------------------------


def test_the_rules_are_those_of_prometheus():
    expected = load(PROMETHEUS / "records.yml")["groups"] + load(PROMETHEUS / "alerts.yml")["groups"]
    for rule in (rule for group in expected for rule in group["rules"] if "annotations" in rule):
        rule["annotations"]["runbook_url"] = f"https://example.com/{rule['annotations']['runbook_url']}"
    rendered = render({"monitoring": {"rules": True, "runbook": "https://example.com/"}})
    assert find(rendered, "PrometheusRule")["spec"]["groups"] == expected


def test_the_dashboards_are_those_of_grafana():
    maps = [d for d in example("monitoring") if d["kind"] == "ConfigMap"]
    shown = {name: json.loads(text) for each in maps for name, text in each["data"].items()}
    assert shown == {path.name: json.loads(path.read_text("utf-8")) for path in DASHBOARDS}
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)


def packed_by_helm(folder):
    return helm_python.package(CHART, destination=folder)


def packed_by_a_release(folder):
    building.make_chart(Repository(ROOT), folder, __version__)
    return folder / f"{CHART.name}-{__version__}.tgz"


@pytest.mark.parametrize("pack", [packed_by_helm, packed_by_a_release])
def test_a_chart_that_is_packed_makes_the_same(pack, tmp_path):
    values = load(ROOT / "deploy/kubernetes/values/monitoring.yaml")
    with helm_python.Chart.load(pack(tmp_path)) as packed, helm_python.Chart.load(CHART) as chart:
        assert packed.render(values) == chart.render(values)


def test_a_chart_that_was_packed_without_them_says_so(tmp_path):
    shutil.copytree(CHART, tmp_path / CHART.name, ignore=shutil.ignore_patterns("files"))
    refused = pytest.raises(helm_python.HelmError, match="its links were not followed")
    with helm_python.Chart.load(tmp_path / CHART.name) as chart, refused:
        chart.render({})


def test_every_pod_is_scraped_ready_or_not_as_the_job_that_the_rules_know():
    documents = example("monitoring")
    monitor, admin = find(documents, "ServiceMonitor"), find(documents, "Service", "-admin")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= admin["metadata"]["labels"].items()
    others = [d for d in documents if d["kind"] == "Service" and d is not admin]
    assert not any(
        monitor["spec"]["selector"]["matchLabels"].items() <= d["metadata"]["labels"].items() for d in others
    )
    assert admin["spec"]["publishNotReadyAddresses"] is True
    [endpoint] = monitor["spec"]["endpoints"]
    [job] = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    starts, named = endpoint["relabelings"]
    assert named == {"targetLabel": "job", "replacement": job["job_name"]}
    assert starts == {"sourceLabels": ["__meta_kubernetes_pod_phase"], "regex": "Pending", "action": "drop"}
    assert endpoint["port"] == admin["spec"]["ports"][0]["name"]


# --- Growing ----------------------------------------------------------------------------------------------


def test_it_grows_by_a_series_that_the_service_has_and_the_adapter_serves():
    [metric, _] = find(example("hpa"), "HorizontalPodAutoscaler")["spec"]["metrics"]
    [rule] = load(ROOT / "deploy/kubernetes/prometheus-adapter.yaml")["rules"]["custom"]
    name = metric["pods"]["metric"]["name"]
    assert name in SERIES
    assert rule["seriesQuery"].startswith(f"{name}{{")
    assert rule["resources"]["overrides"].keys() == {"namespace", "pod"}
    [trigger] = find(example("keda"), "ScaledObject")["spec"]["triggers"]
    assert set(re.findall(r"roberta_\w+", trigger["metadata"]["query"])) == {name}
    assert trigger["metadata"]["ignoreNullValues"] == "false", "a series that is away is not an empty queue"
    admin = find(example("keda"), "Service", "-admin")["metadata"]["name"]
    assert f'service="{admin}"' in trigger["metadata"]["query"]


WAITING = {  # of two pods, of a new version beside them and of another release, which are not to be counted
    'roberta_queue_tokens{namespace="nlp", service="roberta-serve-admin", pod="a"}': "8000x8",
    'roberta_queue_tokens{namespace="nlp", service="roberta-serve-admin", pod="b"}': "0 16000x7",
    'roberta_queue_tokens{namespace="nlp", service="roberta-serve-admin", pod="roberta-serve-canary-a-b"}': "99999x8",
    'roberta_queue_tokens{namespace="other", service="roberta-serve-admin", pod="a"}': "99999x8",
}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (it comes with Prometheus)")
def test_prometheus_answers_what_waits_in_all_and_in_each_pod(tmp_path):
    [trigger] = find(example("keda"), "ScaledObject")["spec"]["triggers"]
    [rule] = load(ROOT / "deploy/kubernetes/prometheus-adapter.yaml")["rules"]["custom"]
    asked = {"Series": "roberta_queue_tokens", "LabelMatchers": 'namespace="nlp", pod=~"a|b"', "GroupBy": "pod"}
    of_each = re.sub(r"<<\.(\w+)>>", lambda match: asked[match[1]], rule["metricsQuery"])

    def sample(value, labels="{}"):
        return {"labels": labels, "value": value}

    test = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in WAITING.items()],
                "promql_expr_test": [
                    {"expr": trigger["metadata"]["query"], "eval_time": "2m", "exp_samples": [sample(24_000)]},
                    {
                        "expr": of_each,
                        "eval_time": "2m",
                        "exp_samples": [sample(8_000, '{pod="a"}'), sample(16_000, '{pod="b"}')],
                    },
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    done = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "kind"), [("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")])
def test_what_grows_by_itself_has_no_number_of_its_own(name, kind):
    deployment, scaler = find(example(name), "Deployment"), find(example(name), kind)
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]


def test_it_grows_long_before_the_queue_is_full():
    wanted = load(CHART / "values.yaml")["autoscaling"]["queueTokens"]
    assert wanted < Settings.model_fields["max_queue_tokens"].default / 8


def test_a_gpu_is_asked_for_and_named():
    deployment = find(example("gpu"), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert container(deployment)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert environment(deployment)["ROBERTA_GPUS"] == "[0]"
    assert environment(deployment)["ROBERTA_DEVICE"] == "cuda"


@pytest.mark.parametrize(
    ("values", "old_goes_first"),
    [
        ({}, False),
        ({"gpu": {"count": 1}}, True),
        ({"gpu": {"count": 1}, "replicas": 1}, False),
        ({"gpu": {"count": 1}, "replicas": 1, "autoscaling": {"kind": "keda"}}, True),
        ({"cache": {"create": True}}, False),
        ({"cache": {"create": True, "accessMode": "ReadWriteOnce"}, "replicas": 1}, True),
        ({"cache": {"create": True, "accessMode": "ReadWriteOncePod"}, "replicas": 1}, True),
    ],
    ids=str,
)
def test_a_new_pod_does_not_wait_for_what_the_old_one_holds(values, old_goes_first):
    strategy = find(render(values), "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": int(not old_goes_first), "maxUnavailable": int(old_goes_first)}


def test_a_single_pod_does_not_keep_its_node_from_being_drained():
    budget = find(render({"replicas": 1}), "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
