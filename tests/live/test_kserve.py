"""The arguments that deploy/kserve gives the command, on folders as KServe lays them at /mnt/models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.app.builders import write_bundle, write_hub_folder
from tests.support.server import REPOSITORY, command

RUNTIMES = {
    runtime["metadata"]["name"]: runtime["spec"]
    for runtime in yaml.safe_load_all((REPOSITORY / "deploy/kserve/runtime.yaml").read_text("utf-8"))
}
READ_ONLY = {"HF_HOME": "/proc/nowhere"}  # the runtimes mount no volume there
QUESTION = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a good film"]}]}


def arguments(runtime: str, mount: Path) -> list[str]:
    """Return what the container is started with, for an InferenceService called reviews."""
    [container] = RUNTIMES[runtime]["containers"]
    return [each.replace("{{.Name}}", "reviews").replace("/mnt/models", str(mount)) for each in container["args"]]


def fetched_from_the_hub(folder: Path) -> None:
    """Leave what huggingface_hub leaves where it downloads into a folder."""
    (folder / ".cache/huggingface/download").mkdir(parents=True)
    (folder / ".cache/huggingface/.gitignore").write_text("*")


@pytest.fixture
def mount(tmp_path):
    """/mnt/models as a link, as it is with `oci://`."""
    link = tmp_path / "mnt"
    link.symlink_to(tmp_path / "content", target_is_directory=True)
    return link


@pytest.mark.parametrize("kind", ["bundle", "folder of the Hub"])
def test_one_model_at_the_root_is_served_by_the_name_of_the_inference_service(kind, mount, tokenizer, tmp_path):
    content, byte_level = mount.resolve(), tokenizer.backend_tokenizer
    if kind == "bundle":
        shutil.move(write_bundle(tmp_path / "published", byte_level, name="sentiment"), content)
    else:
        write_hub_folder(content, byte_level)
    fetched_from_the_hub(content)
    (empty := tmp_path / "empty").mkdir()
    with command(empty, tmp_path / "log", *arguments("roberta-serve", mount), variables=READ_ONLY) as service:
        answer = service.client.post("/v2/models/reviews/infer", json=QUESTION)
        assert answer.status_code == 200, answer.text
        assert service.client.get("/v2/models/reviews/ready").status_code == 200


def test_a_folder_of_bundles_is_served_under_their_own_names(mount, tokenizer, tmp_path):
    for name in ("first", "second"):
        write_bundle(mount.resolve(), tokenizer.backend_tokenizer, name=name)
    flag, folder = arguments("roberta-serve-folder", mount)
    assert flag == "--models"
    with command(Path(folder), tmp_path / "log", variables=READ_ONLY) as service:
        for name in ("first", "second"):
            assert service.client.post(f"/v2/models/{name}/infer", json=QUESTION).status_code == 200
