"""From what was named to where it is served from: exported or as it is, of the Hub or a folder, with its source."""

import errno
import json
import os
import re
import subprocess
import sys
import threading

import pytest

from app.bundle import MANIFEST
from app.hub import exporting
from app.hub.errors import HubError
from app.hub.naming import parse_spec
from app.hub.preparing import Preparation, row_of
from app.serving.places import place_from
from tests.app.builders import write_bundle, write_hub_folder
from tests.app.serving.test_places import COMMIT, cached
from tests.support.hub import files_of

WEIGHTS = {"model.safetensors": b"weights"}


@pytest.fixture
def can_export(monkeypatch, byte_level):
    """Take a toy bundle for what is exported; return the checkpoints that were."""
    made = []

    def export(checkpoint, models, name, precision, tell, origin):
        made.append(checkpoint)
        write_bundle(models, byte_level, name=name)

    monkeypatch.setattr(exporting, "export", export)
    return made


@pytest.fixture
def cannot_export(monkeypatch):
    monkeypatch.setattr("app.hub.preparing.missing_modules", lambda: ["torch"])
    monkeypatch.setattr("app.hub.exporting.missing_modules", lambda: ["torch"])


@pytest.fixture
def files(tmp_path, byte_level):
    """The files of a repository with an ONNX graph."""
    return files_of(write_hub_folder(tmp_path / "toy-files", byte_level))


def prepare(text, tell, device="cpu"):
    return Preparation(device, tell).prepare(parse_spec(str(text)))


def without_graph(files):
    return {name: content for name, content in files.items() if name != "model.onnx"}


# --- The Hub --------------------------------------------------------------------------------------------


def test_a_graph_is_served_as_it_is(hub, tell, files):
    commit = hub.add("acme/Reviews", files)
    place = prepare("acme/Reviews", tell)
    (folder,) = place.folders.values()
    assert (folder / "model.onnx").read_bytes() == files["model.onnx"]
    assert place.name == "reviews"
    assert place.source == {
        "repository": "acme/Reviews",
        "revision": "main",
        "commit": commit,
        "served": "model.onnx as it is, padded, not verified",
    }


def test_safetensors_are_exported_once_for_each_content(hub, tell, said, files, can_export):
    hub.add("acme/reviews", without_graph(files) | WEIGHTS)
    first = prepare("acme/reviews", tell)
    later = hub.add("acme/reviews", without_graph(files) | WEIGHTS | {"README.md": b"new"})
    again = prepare("tweets=acme/reviews", tell)
    assert len(can_export) == 1
    assert first.folders == again.folders
    assert (again.name, again.own_name, again.source["commit"]) == ("tweets", "reviews", later)
    assert again.source["served"] == "a bundle exported from model.safetensors, packed, fp32, with probes"
    hub.add("acme/reviews", without_graph(files) | {"model.safetensors": b"other"})
    assert prepare("acme/reviews", tell).folders != first.folders
    assert len(can_export) == 2


def test_of_both_the_export_is_served_and_the_graph_where_that_fails(hub, tell, said, files, monkeypatch):
    hub.add("acme/reviews", files | WEIGHTS)

    def fail(*_):
        raise HubError("acme/reviews cannot be exported: model type 'x' is not supported")

    monkeypatch.setattr(exporting, "export", fail)
    assert prepare("acme/reviews", tell).source["served"] == "model.onnx as it is, padded, not verified"
    assert ("export_failed", "model.onnx") in [(event, fields.get("served")) for event, fields in said]
    hub.add("acme/weights", without_graph(files) | WEIGHTS)
    with pytest.raises(HubError, match="model type 'x' is not supported"):
        prepare("acme/weights", tell)


def test_without_the_extra_the_graph_is_served_and_weights_alone_say_what_to_type(hub, tell, files, cannot_export):
    hub.add("acme/reviews", files | WEIGHTS)
    assert prepare("acme/reviews", tell).source["served"] == "model.onnx as it is, padded, not verified"
    assert "model.safetensors" not in hub.downloads()
    hub.add("acme/weights", without_graph(files) | WEIGHTS)
    with pytest.raises(HubError) as raised:
        prepare("acme/weights", tell)
    assert str(raised.value) == (
        "acme/weights has no ONNX graph, and exporting model.safetensors needs torch; install the extra `train` "
        "(in the clone: pip install -e '.[train]'), or run `roberta-train export acme/weights --name weights` where it "
        "is, and serve its models folder"
    )
    assert "model.safetensors" not in hub.downloads()


def test_a_bundle_on_the_hub_is_served_as_a_bundle(hub, tell, tmp_path, byte_level):
    commit = hub.add("acme/reviews", files_of(write_bundle(tmp_path, byte_level, name="inner")))
    place = prepare("acme/reviews", tell)
    assert (place.name, place.own_name, place.source["commit"]) == ("reviews", "inner", commit)


def test_an_architecture_that_no_task_serves_is_named_before_anything_large_is_fetched(hub, tell, files):
    config = json.dumps({"architectures": ["LlamaForCausalLM"]}).encode()
    hub.add("acme/llama", files | {"config.json": config})
    with pytest.raises(HubError) as raised:
        prepare("acme/llama", tell)
    assert "acme/llama is LlamaForCausalLM, which is not served; these tasks are: " in str(raised.value)
    assert "fill-mask (...ForMaskedLM)" in str(raised.value)
    assert hub.downloads() == ["config.json"]


# --- Folders --------------------------------------------------------------------------------------------


def test_a_bundle_and_a_folder_of_versions_and_a_hub_folder(tmp_path, byte_level, tell):
    bundle = write_bundle(tmp_path, byte_level, name="toy")
    plain = write_hub_folder(tmp_path / "Plain", byte_level)
    for text, name, own, folders in [
        (bundle, "toy", "toy", {1: bundle}),
        (f"other={bundle}", "other", "toy", {1: bundle}),
        (tmp_path / "toy", "toy", "toy", {1: bundle}),
        (plain, "plain", None, {1: plain}),
    ]:
        place = prepare(text, tell)
        assert (place.name, place.own_name, dict(place.folders)) == (name, own, folders)
        assert place_from(json.loads(json.dumps(row_of(place)))) == place


def test_a_folder_of_hugging_faces_cache_is_known_by_its_repository(tmp_path, byte_level, tell):
    folder = cached(tmp_path, byte_level, "Acme/Toy")
    for given in (folder, folder / "snapshots" / COMMIT):
        place = prepare(given, tell)
        assert (place.name, place.folders) == ("toy", {1: folder / "snapshots" / COMMIT})
        assert (place.source["repository"], place.source["commit"]) == ("Acme/Toy", COMMIT)


def test_a_folder_of_weights_is_exported_once(tmp_path, byte_level, hub, tell, can_export):
    folder = write_hub_folder(tmp_path / "Plain", byte_level)
    (folder / "model.onnx").rename(folder / "model.safetensors")
    assert prepare(folder, tell).folders == prepare(folder, tell).folders
    assert can_export == [folder]


def test_a_cache_that_cannot_be_written_to_is_a_sentence(tmp_path, byte_level, tell, can_export, monkeypatch):
    """What is kept there is the bundle that is exported; a file in the folder's place does as well, also for root."""
    folder = write_hub_folder(tmp_path / "Plain", byte_level)
    (folder / "model.onnx").rename(folder / "model.safetensors")
    (tmp_path / "file").touch()
    cache = str(tmp_path / "file/assets")
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", cache)
    with pytest.raises(HubError, match=f"{re.escape(cache)} cannot be used: .*; set HF_HOME to another folder"):
        prepare(folder, tell)
    monkeypatch.setattr(exporting, "cached_assets_path", refuse)
    with pytest.raises(HubError, match=f"{re.escape(cache)} cannot be written to; set HF_HOME to a folder that can"):
        prepare(folder, tell)


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\n"),
         "model.onnx of {} is a Git LFS pointer, not the file; run `git lfs pull`"),
        (lambda folder: (folder / "config.json").unlink(), "{} has no config.json; give a bundle, or a folder"),
        (lambda folder: (folder / "config.json").write_text("{"), "{}: config.json cannot be read as a JSON object"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "{} has a manifest.json without a name and a version"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_model_is_a_sentence(change, sentence, tmp_path, byte_level, tell):
    folder = write_hub_folder(tmp_path / "plain", byte_level)
    change(folder)
    with pytest.raises(HubError) as raised:
        prepare(folder, tell)
    assert sentence.format(folder) in str(raised.value)


def test_a_folder_of_models_says_how_to_give_it(tmp_path, byte_level, tell):
    write_bundle(tmp_path, byte_level)
    with pytest.raises(HubError, match=f"is a folder of models, not a model; give it as --models {tmp_path}$"):
        prepare(f"reviews={tmp_path}", tell)


# --- Exporting ------------------------------------------------------------------------------------------


def test_two_that_want_the_same_bundle_make_it_once(hub, files, can_export):
    hub.add("acme/reviews", without_graph(files) | WEIGHTS)
    places = []
    threads = [
        threading.Thread(target=lambda: places.append(prepare("acme/reviews", lambda *_, **__: None))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(can_export) == 1
    assert places[0] == places[1] == places[2] == places[3]


def test_a_bundle_that_was_damaged_is_made_again(hub, tell, files, can_export):
    hub.add("acme/reviews", without_graph(files) | WEIGHTS)
    (folder,) = prepare("acme/reviews", tell).folders.values()
    (folder / "tokenizer.json").write_text("{}")
    prepare("acme/reviews", tell)
    assert len(can_export) == 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sys.stderr.write('work\\nroberta-train: {checkpoint}: model type x is not supported\\nbye'); sys.exit(1)",
         "acme/m cannot be exported: model type x is not supported"),
        ("raise SystemExit(3)", "acme/m cannot be exported: the exporter ended with 3"),
        ("os.kill(os.getpid(), 9)", "acme/m cannot be exported: the exporter ended with -9; it may have run out of"),
    ],
)  # fmt: skip
def test_what_the_exporter_says_last_is_the_reason(script, reason, tmp_path, monkeypatch, tell, said):
    start = subprocess.Popen

    def play(command, **options):
        code = "import os, sys; " + script.format(checkpoint=command[command.index("export") + 1])
        return start([sys.executable, "-c", code], **options)

    monkeypatch.setattr(exporting.subprocess, "Popen", play)
    with pytest.raises(HubError, match=reason):
        exporting.export(tmp_path, tmp_path, "m", "fp32", tell, "acme/m")
    assert os.environ.get("HF_HUB_OFFLINE") == "1"
