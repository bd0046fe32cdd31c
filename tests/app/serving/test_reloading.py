"""Loading again: the old one serves until the new one has proved itself, and a folder that is away drops nothing."""

import json
import shutil

import numpy as np
import pytest
import structlog

from app.errors import ModelNotFoundError
from tests.app.builders import TABLE, toy_graph, write_bundle, write_hub_folder
from tests.app.registries import load, reason, states


def break_graph(folder):
    (folder / "model.fp32.onnx").write_bytes(b"half")


def swap(folder, other):
    """Put another content in place of a version."""
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


# --- The models folder ----------------------------------------------------------------------------------


def remove(models):
    shutil.rmtree(models)


def empty(models):
    shutil.rmtree(models)
    models.mkdir()


def make_a_file(models):
    shutil.rmtree(models)
    models.write_text("not mounted")


def leave_only_hidden(models):
    shutil.rmtree(models)
    (models / "lost+found").mkdir(parents=True)
    (models / ".git").mkdir()


def link_to_itself(models):
    shutil.rmtree(models)
    models.symlink_to(models)


AWAY = {
    "missing": (remove, "the models folder is missing"),
    "empty": (empty, "the models folder has no bundle"),
    "a file": (make_a_file, "the models folder is not a folder"),
    "nothing but hidden folders": (leave_only_hidden, "the models folder has no bundle"),
    "a link to itself": (link_to_itself, "the models folder cannot be read: Too many levels of symbolic links"),
}


@pytest.mark.parametrize(("take_away", "expected"), AWAY.values(), ids=AWAY.keys())
def test_a_models_folder_that_is_away_drops_nothing_and_is_said(take_away, expected, tmp_path, byte_level):
    models = tmp_path / "models"
    write_bundle(models, byte_level, name="a")
    write_bundle(models, byte_level, name="b")
    (models / "defaults.json").write_text('{"classify": "b"}')
    shutil.copytree(models, tmp_path / "copy")
    registry = load(models)
    before = registry.find(None, "a")
    take_away(models)

    with structlog.testing.capture_logs() as logs:
        registry.load()

    assert states(registry) == {"a": "a:1", "b": "b:1"}
    assert registry.find(None, "a") is before
    assert registry.find("classify", None).name == "b"
    assert registry.table.problems == (f"{expected}; what was loaded before is served",)
    assert [event["reason"] for event in logs if event["log_level"] == "error"] == list(registry.table.problems)
    assert registry.metrics.get_sample_value("roberta_load_problems", {"kind": "folder"}) == 1

    models.unlink() if models.is_symlink() or models.is_file() else shutil.rmtree(models, ignore_errors=True)
    (tmp_path / "copy").rename(models)
    registry.load()
    assert registry.find(None, "a") is before
    assert registry.table.problems == ()
    assert registry.metrics.get_sample_value("roberta_load_problems", {"kind": "folder"}) == 0


def nowhere(models, byte_level):
    return "the models folder is missing"


def nothing(models, byte_level):
    models.mkdir()
    return "the models folder has no bundle"


def a_bundle(models, byte_level):
    write_bundle(models.parent / "copy", byte_level).rename(models)
    return "the models folder is itself a model; give it with --model, as NAME=FOLDER"


def a_folder_of_the_hub(models, byte_level):
    write_hub_folder(models, byte_level)
    return "the models folder is itself a model; give it with --model, as NAME=FOLDER"


@pytest.mark.parametrize("make", [nowhere, nothing, a_bundle, a_folder_of_the_hub])
def test_at_start_a_folder_without_models_is_said_and_logged(make, tmp_path, byte_level):
    expected = make(tmp_path / "models", byte_level)
    with structlog.testing.capture_logs() as logs:
        registry = load(tmp_path / "models")
    assert registry.table.problems == (expected,)
    assert [event["reason"] for event in logs if event["log_level"] == "error"] == [expected]


# --- One name -------------------------------------------------------------------------------------------


def test_a_model_stays_when_its_version_went_and_the_new_one_is_broken(tmp_path, byte_level):
    first = write_bundle(tmp_path, byte_level)
    registry = load(tmp_path)
    served = registry.find(None, "toy")
    break_graph(write_bundle(tmp_path, byte_level))
    shutil.rmtree(first)
    registry.load()
    registry.load()
    assert registry.find(None, "toy") is served
    assert "altered or half-copied" in reason(registry, version=2)
    (entry,) = registry.entries
    assert entry.note == "no version in its folder loads; toy:1, from before, is served"


@pytest.mark.parametrize("left", ["an empty folder", "nothing but a version that is being written"])
def test_a_model_stays_while_its_folder_has_no_version(left, tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="other")
    folder = write_bundle(tmp_path, byte_level)
    registry = load(tmp_path)
    shutil.rmtree(folder)
    if left != "an empty folder":
        (folder.parent / ".partial-2").mkdir()
    registry.load()
    assert states(registry) == {"other": "other:1", "toy": "toy:1"}


def test_a_model_whose_folder_is_gone_is_unloaded(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="other")
    folder = write_bundle(tmp_path, byte_level)
    registry = load(tmp_path)
    shutil.rmtree(folder.parent)
    registry.load()
    assert states(registry) == {"other": "other:1"}
    with pytest.raises(ModelNotFoundError):
        registry.find(None, "toy")


def test_a_version_that_was_removed_gives_way_to_the_one_before(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level)
    second = write_bundle(tmp_path, byte_level)
    registry = load(tmp_path)
    assert states(registry) == {"toy": "toy:2"}
    shutil.rmtree(second)
    registry.load()
    assert states(registry) == {"toy": "toy:1"}
    assert registry.entries[0].note is None


def test_another_content_of_the_same_version_replaces_it_once_it_has_proved_itself(tmp_path, byte_level):
    folder = write_bundle(tmp_path / "models", byte_level)
    other = write_bundle(tmp_path / "other", byte_level, labels=["x", "y", "z"])
    registry = load(tmp_path / "models")
    before = registry.find(None, "toy")
    swap(folder, other)
    break_graph(folder)
    registry.load()
    assert registry.find(None, "toy") is before
    assert "altered or half-copied" in reason(registry)

    swap(folder, other)
    registry.load()
    after = registry.find(None, "toy")
    assert (after.id, after.bundle.manifest.labels) == ("toy:1", ["x", "y", "z"])
    assert after.bundle.fingerprint != before.bundle.fingerprint
    registry.load()
    assert registry.find(None, "toy") is after


def test_another_content_of_a_folder_without_a_manifest_replaces_it(tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    registry = load(tmp_path)
    before = registry.find(None, "toy")
    registry.load()
    assert registry.find(None, "toy") is before
    (folder / "model.onnx").write_bytes(toy_graph(np.flip(TABLE), padded=True).SerializeToString())
    registry.load()
    assert registry.find(None, "toy") is not before


def test_a_model_that_was_renamed_answers_by_its_new_name_alone(tmp_path, byte_level):
    folder = write_bundle(tmp_path, byte_level)
    registry = load(tmp_path)
    folder.parent.rename(tmp_path / "new")
    manifest = json.loads((tmp_path / "new" / "1" / "manifest.json").read_text())
    (tmp_path / "new" / "1" / "manifest.json").write_text(json.dumps(manifest | {"name": "new"}))
    registry.load()
    assert states(registry) == {"new": "new:1"}
