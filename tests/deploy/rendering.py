"""The chart as Helm renders it, and whether what it renders is what a cluster accepts: unknown fields are refused."""

from __future__ import annotations

import importlib.resources
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/kubernetes/roberta-serve"
SCHEMAS = Path(__file__).parent / "schemas"
NEWEST, OLDEST = "1.37", "1.29"  # what kubernetes-validate has, and what Chart.yaml asks for
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the dashboards are long
EXAMPLES = sorted((ROOT / "deploy/kubernetes/values").glob("*.yaml"))
KSERVE = sorted((ROOT / "deploy/kserve").glob("*.yaml"))
ALL = pytest.mark.parametrize("path", [CHART / "values.yaml", *EXAMPLES, *KSERVE], ids=lambda path: path.stem)
OWN_KINDS = {path.stem for path in SCHEMAS.glob("*.json")}

Json = dict[str, Any]


def render(values: Json | None = None, name: str = "roberta-serve") -> list[Json]:
    """Return what `helm install NAME` would create. Raises `helm_python.HelmError`."""
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values or {})
        rendered = chart.render(values or {}, name=name, namespace="nlp")
    texts = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.load_all(text, LOADER) if document]


def example(name: str) -> list[Json]:
    """Return what the chart makes of an example of values."""
    return render(load(ROOT / f"deploy/kubernetes/values/{name}.yaml"))


def load(path: Path) -> Json:
    return yaml.safe_load(path.read_text("utf-8"))


def documents_of(path: Path) -> list[Json]:
    """Return the objects of a file of KServe, or of the chart with a file of values."""
    if path in KSERVE:
        return [*yaml.safe_load_all(path.read_text("utf-8"))]
    return render() if path.name == "values.yaml" else render(load(path))


def pods_of(path: Path) -> list[Json]:
    return [pod for document in documents_of(path) if (pod := pod_of(document)) is not None]


def pod_of(document: Json) -> Json | None:
    """Return the pod that an object makes; None where it makes none."""
    spec = document.get("spec", {})
    pod = spec.get("template", {}).get("spec") or spec.get("predictor") or spec
    return pod if "containers" in pod else None


def find(documents: list[Json], kind: str, ending: str = "") -> Json:
    """Return the one object of a kind whose name ends so."""
    [found] = [d for d in documents if d["kind"] == kind and d["metadata"]["name"].endswith(ending)]
    return found


def container(deployment: Json) -> Json:
    return deployment["spec"]["template"]["spec"]["containers"][0]


def environment(deployment: Json) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container(deployment)["env"]}


def scaling_problem(service: Json) -> str | None:
    """Return why KServe would refuse how an InferenceService grows, which no schema says; None where it would not.

    Source: KServe 0.16 and later, pkg/apis/serving/v1beta1/inference_service_validation.go, whose webhook allows the
    metrics of Knative alone in every mode but Standard.
    """
    predictor, annotations = service["spec"]["predictor"], service["metadata"]["annotations"]
    mode, scaler = (annotations.get(f"serving.kserve.io/{name}") for name in ("deploymentMode", "autoscalerClass"))
    allowed = {"hpa": ("cpu", "memory"), "keda": ()}.get(scaler, ()) if mode == "Standard" else ("concurrency", "rps")
    if (metric := predictor.get("scaleMetric")) is not None and metric not in allowed:
        return f"{metric} is not a supported metric"
    for each in predictor.get("autoScaling", {}).get("metrics", ()):
        if scaler == "keda" and "value" not in each["external"]["target"]:
            return "the target threshold value should not be empty"
    return None


# --- Validation -------------------------------------------------------------------------------------------


@cache
def kubernetes_schema(version: str, name: str) -> Json:
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


@cache
def validator(kind: str, api_version: str, version: str) -> Draft202012Validator:
    definitions = Resource.from_contents(kubernetes_schema(version, "_definitions"))
    if kind in OWN_KINDS:
        schema = closed(json.loads((SCHEMAS / f"{kind}.json").read_text("utf-8")))
    else:
        group = api_version.replace("/", "-").replace(".k8s.io", "").replace(".networking", "")
        schema = kubernetes_schema(version, f"{kind.lower()}-{group}")
    registry = (definitions @ Registry()).with_resource("/api/_definitions.json", definitions)
    return Draft202012Validator(schema, registry=registry)


def closed(schema: Any) -> Any:
    """Refuse fields that are not named: a custom resource's schema leaves that to the API server."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closes = {"additionalProperties": False} if "properties" in schema else {}
    return {**closes, **{key: closed(value) for key, value in schema.items()}}


def problems(document: Json, version: str = NEWEST) -> list[str]:
    """Return what a cluster of that version would refuse in an object."""
    check = validator(document["kind"], document["apiVersion"], version)
    return [
        f"{document['kind']} {'.'.join(map(str, e.absolute_path))}: {e.message}" for e in check.iter_errors(document)
    ]
