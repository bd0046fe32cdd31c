"""Write the schemas of custom resources beside this file, from packages that publish them; README.md says which.

Run once for a new version, never by a test: `python -m tests.deploy.schemas.make KSERVE_WHEEL GATEWAY_API_TGZ`, in an
environment that has cloudcoil's models as well.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KUBERNETES = "/api/_definitions.json#/$defs/io.k8s."  # the definitions of kubernetes-validate
META = {"$ref": f"{KUBERNETES}apimachinery.pkg.apis.meta.v1.ObjectMeta"}
CLOUDCOIL = {
    "ScaledObject": "cloudcoil.models.keda.v1alpha1",
    "ServiceMonitor": "cloudcoil.models.prometheus_operator.v1",
    "PrometheusRule": "cloudcoil.models.prometheus_operator.v1",
}
KSERVE = {
    "InferenceService": "V1beta1InferenceService",
    "ServingRuntime": "V1alpha1ServingRuntime",
    "ClusterServingRuntime": "V1alpha1ClusterServingRuntime",
}
SIMPLE: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "object": {},
    "ResourceQuantity": {"type": ["string", "number"]},
    "V1ObjectMeta": META,
    "K8sIoApiAppsV1DeploymentStrategy": {"$ref": f"{KUBERNETES}api.apps.v1.DeploymentStrategy"},
}


def main(kserve: str, gateway: str) -> None:
    for kind, module in CLOUDCOIL.items():
        schema = getattr(importlib.import_module(module), kind).model_json_schema(by_alias=True)
        schema["properties"]["metadata"] = META
        write(kind, plain(schema))
    with zipfile.ZipFile(kserve) as wheel:
        sources = [wheel.read(name).decode() for name in wheel.namelist() if name.startswith("kserve/models/v1")]
    models = dict(map(read_openapi, sources))
    for kind, name in KSERVE.items():
        write(kind, of_models(name, models))
    with tarfile.open(gateway) as package:
        files = [m for m in package.getmembers() if re.search(r"gateway\.networking\.k8s\.io/v1/\w+\.d\.ts$", m.name)]
        texts = [package.extractfile(member).read().decode() for member in files]  # type: ignore[union-attr]
    write("HTTPRoute", of_interfaces("HTTPRoute", dict(filter(None, map(read_interface, texts)))))


def write(kind: str, schema: dict[str, Any]) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    (HERE / f"{kind}.json").write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n", "utf-8")


def plain(schema: Any) -> Any:
    """Leave out titles and defaults, which check nothing."""
    if isinstance(schema, dict):
        kept = {key: plain(value) for key, value in schema.items() if key not in ("title", "default", "description")}
        return (
            {**kept, "properties": {k: plain(v) for k, v in schema["properties"].items()}}
            if "properties" in schema
            else kept
        )
    return [plain(each) for each in schema] if isinstance(schema, list) else schema


# --- OpenAPI Generator's classes in Python ----------------------------------------------------------------


def read_openapi(source: str) -> tuple[str, dict[str, Any]]:
    """Return a class's name, and its fields: what each is called in JSON, its type, and whether it has to be there."""
    name = re.search(r"^class (\w+)", source, re.MULTILINE)[1]  # type: ignore[index]
    types, names = (
        ast.literal_eval(re.search(rf"{table} = (\{{.*?\}})", source, re.DOTALL)[1])  # type: ignore[index]
        for table in ("openapi_types", "attribute_map")
    )
    required = set(re.findall(r"Invalid value for `(\w+)`, must not be `None`", source))
    return name, {names[field]: (kind, field in required) for field, kind in types.items()}


def of_models(root: str, models: dict[str, Any]) -> dict[str, Any]:
    definitions: dict[str, Any] = {}

    def reference(kind: str) -> dict[str, Any]:
        if listed := re.fullmatch(r"list\[(.+)\]", kind):
            return {"type": "array", "items": reference(listed[1])}
        if table := re.fullmatch(r"dict\(str, (.+)\)", kind):
            return {"type": "object", "additionalProperties": reference(table[1])}
        if kind in SIMPLE or kind not in models:
            core = {"$ref": f"{KUBERNETES}api.core.v1.{kind.removeprefix('V1')}"}
            return SIMPLE.get(kind, core if re.fullmatch(r"V1[A-Z]\w+", kind) else {})
        if kind not in definitions:
            definitions[kind] = {}
            definitions[kind] |= entity({k: (reference(v), needed) for k, (v, needed) in models[kind].items()})
        return {"$ref": f"#/$defs/{kind}"}

    return {**reference(root), "$defs": definitions}


def entity(fields: dict[str, tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    required = [name for name, (_, needed) in fields.items() if needed]
    return {"type": "object", "properties": {k: v for k, (v, _) in fields.items()}, "required": required}


# --- TypeScript's interfaces ------------------------------------------------------------------------------


def read_interface(text: str) -> tuple[str, Any] | None:
    """Return an interface's name, and its parents and fields; or a type's name and what it stands for."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    if found := re.search(r"export interface I(\w+)(?: extends ([^{]+))? \{(.*?)\n\}", text, re.DOTALL):
        fields = re.findall(r'^    "(\w+)"(\??): (.+?);$', found[3], re.MULTILINE | re.DOTALL)
        return found[1], ([short(each) for each in (found[2] or "").split(",") if each.strip()], fields)
    if found := re.search(r"export type I(\w+) = ([^;]+);", text):
        return found[1], found[2]
    return None


def short(name: str) -> str:
    return re.sub(r"^I(IoK8sSigsGatewayApiApisV1)?", "", name.strip())


def of_interfaces(root: str, interfaces: dict[str, Any]) -> dict[str, Any]:
    definitions: dict[str, Any] = {}

    def fields_of(name: str) -> dict[str, tuple[dict[str, Any], bool]]:
        parents, fields = interfaces[name]
        inherited = {k: v for parent in parents if parent in interfaces for k, v in fields_of(parent).items()}
        return inherited | {field: (reference(kind), not optional) for field, optional, kind in fields}

    def reference(kind: str) -> dict[str, Any]:
        kind = kind.strip()
        if listed := re.fullmatch(r"Array<(.+)>", kind):
            return {"type": "array", "items": reference(listed[1])}
        if kind.startswith('"'):
            return {"enum": re.findall(r'"([^"]*)"', kind)}
        if kind in ("string", "number", "boolean"):
            return {"type": kind}
        name = short(kind)
        if name not in interfaces:
            return META if "ObjectMeta" in kind else {}
        if isinstance(interfaces[name], str):
            return reference(interfaces[name])
        if name not in definitions:
            definitions[name] = {}
            definitions[name] |= entity(fields_of(name))
        return {"$ref": f"#/$defs/{name}"}

    return {**reference(root), "$defs": definitions}


if __name__ == "__main__":
    main(*sys.argv[1:])
