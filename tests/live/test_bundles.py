"""A bundle that is not whole is refused by name and with the reason, and the others are served."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import assert_error
from tests.support.server import ThreadService, serve


def edit(folder: Path, **fields: Any) -> None:
    """Change fields of the manifest."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def rehash(folder: Path, *names: str) -> None:
    """Make the manifest agree with files that were changed."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder, files=files | {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names})


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def truncate_graph(folder: Path) -> None:
    truncate(folder / "model.int8.onnx")


def alter_tokenizer(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace("film", "milf"))


def alter_tokenizer_and_hash(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text("{}")
    rehash(folder, file.name)


def replace_graph_and_hash(folder: Path) -> None:
    (folder / "model.int8.onnx").write_bytes(b"not a graph")
    rehash(folder, "model.int8.onnx")


def swap_graph(folder: Path) -> None:
    """Leave a graph that opens and answers, but is not the one that was trained."""
    shutil.copy(folder / "model.fp32.onnx", folder / "model.int8.onnx")
    probes = json.loads((folder / "manifest.json").read_text())["probes"]
    probes[1]["logits"] = [[value + 1 for value in row] for row in probes[1]["logits"]]
    edit(folder, probes=probes)
    rehash(folder, "model.int8.onnx")


def point_outside(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder, files=files | {"../../../secret": "0" * 64})


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "altered-graph": (truncate_graph, "model.int8.onnx was altered or half-copied"),
    "altered-tokenizer": (alter_tokenizer, "tokenizer.json was altered or half-copied"),
    "broken-graph": (replace_graph_and_hash, "model.int8.onnx is not an ONNX graph"),
    "broken-tokenizer": (alter_tokenizer_and_hash, "tokenizer.json cannot be used"),
    "drifted": (swap_graph, "probe 1 drifted by"),
    "half-copied": (lambda folder: (folder / "model.fp32.onnx").unlink(), "model.fp32.onnx is missing"),
    "manifest-cut": (lambda folder: truncate(folder / "manifest.json"), "manifest.json is not valid at document"),
    "no-config": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    "no-manifest": (lambda folder: (folder / "manifest.json").unlink(), "whose manifest.json is missing"),
    "of-another-name": (lambda folder: edit(folder, name="somebody-else"), "says somebody-else:1 but"),
    "of-another-task": (lambda folder: edit(folder, task="translation"), "task 'translation' is not served here"),
    "of-the-future": (lambda folder: edit(folder, schema_version=2), "manifest.json is not valid at schema_version"),
    "outside": (point_outside, "which is outside the bundle"),
    "unlisted": (lambda folder: edit(folder, files={}), "manifest.json has no sha256 for"),
}


@pytest.fixture(scope="module")
def service(tiny_models, tmp_path_factory) -> Iterator[ThreadService]:
    """Serve the tiny bundles and, before them by name, every broken one."""
    models = tmp_path_factory.mktemp("broken")
    shutil.copytree(tiny_models, models, dirs_exist_ok=True)
    for name, (breaks, _) in BROKEN.items():
        breaks(copy_bundle(tiny_models / "tiny-classify" / "1", models / name / "1"))
    shutil.copytree(tiny_models / "tiny-classify" / "1", models / "being-written" / ".partial-1")
    with serve(models) as service:
        yield service


def copy_bundle(source: Path, target: Path) -> Path:
    """Copy a bundle to another name and version."""
    shutil.copytree(source, target)
    edit(target, name=target.parent.name, version=int(target.name))
    return target


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_is_refused_with_the_reason(service, name):
    about = service.client.get(f"/models/{name}").json()

    assert about["state"] == "failed"
    assert BROKEN[name][1] in about["refused"]["1"]
    assert about in service.client.get("/models").json()["models"]
    assert service.metric("roberta_model_loaded", model=name) == 0
    assert service.metric("roberta_model_load_failures_total", model=name) == 1
    assert_error(
        service.client.post(f"/models/{name}", json={"inputs": "a"}), 404, "model_not_found", f"no model '{name}'"
    )


def test_a_first_version_that_is_being_written_is_no_bundle_yet(service):
    assert "being-written" not in [about["name"] for about in service.client.get("/models").json()["models"]]
    assert service.metric("roberta_model_load_failures_total", model="being-written") == 0


@pytest.mark.parametrize("task", ["classify", "ner", "fill-mask"])
def test_the_others_answer(service, task):
    response = service.client.post(f"/{task}", json={"inputs": "a good <mask> film"})

    assert response.status_code == 200
    assert response.headers["x-model"] == f"tiny-{task}:1"
    assert service.metric("roberta_model_loaded", model=f"tiny-{task}") == 1
    assert service.metric("roberta_model_load_failures_total", model=f"tiny-{task}") == 0
    assert service.is_ready()


def test_a_reason_tells_no_path_of_the_machine(service):
    reasons = service.client.get("/models").text

    assert str(service.app.service.settings.models) not in reasons


def test_a_broken_new_version_leaves_the_old_one_served(tiny_models, tmp_path):
    source = tiny_models / "tiny-classify" / "1"
    copy_bundle(source, tmp_path / "model" / "1")
    truncate_graph(copy_bundle(source, tmp_path / "model" / "2"))

    with serve(tmp_path) as service:
        response = service.client.post("/classify", json={"inputs": "a good film"})
        about = service.client.get("/models/model").json()

    assert response.headers["x-model"] == "model:1"
    assert (about["state"], about["version"]) == ("ready", 1)
    assert list(about["refused"]) == ["2"]


def test_with_no_bundle_that_loads_the_service_says_where_to_look(tiny_models, tmp_path):
    truncate_graph(copy_bundle(tiny_models / "tiny-classify" / "1", tmp_path / "only" / "1"))

    with serve(tmp_path) as service:
        response = service.client.post("/classify", json={"inputs": "a good film"})
        ready, live = service.client.get("/health/ready"), service.client.get("/health/live")

    assert_error(response, 503, "not_ready", "GET /models says why")
    assert (ready.status_code, live.status_code) == (503, 200)
    assert "GET /models says why" in ready.json()["reason"]


def test_a_task_without_a_model_is_a_404_and_not_ready(tiny_models, tmp_path):
    shutil.copytree(tiny_models / "tiny-ner", tmp_path / "tiny-ner")

    with serve(tmp_path) as service:
        response = service.client.post("/classify", json={"inputs": "a good film"})
        assert service.client.get("/ner/health").status_code == 200
        assert service.client.get("/classify/health").status_code == 503
        assert service.client.post("/ner", json={"inputs": "a good film"}).status_code == 200

    assert_error(response, 404, "model_not_found", "no model for /classify")
