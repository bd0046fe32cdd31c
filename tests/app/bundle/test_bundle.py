"""A bundle on disk: written whole or not at all, read back as written, refused with its reason when it is not."""

import json

import numpy as np
import pytest

from app.bundle import BundleError, Probe, new_version, read_bundle, sha256, versions, write_manifest
from tests.app.builders import make_manifest, write_bundle


def read(folder, name="toy", version=1):
    return read_bundle(folder, name=name, version=version)


def edit(folder, **changes):
    """Change fields of a manifest, as nobody should."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def files_of(folder):
    return json.loads((folder / "manifest.json").read_text())["files"]


@pytest.fixture
def bundle(tmp_path, byte_level):
    return write_bundle(tmp_path / "models", byte_level)


# --- Bundles with a manifest ----------------------------------------------------------------------------


def test_a_bundle_is_read_as_it_was_written(tmp_path, byte_level):
    fields = {
        "problem_type": "multi_label_classification",
        "pooling": "max",
        "task_settings": {"prompts": {"query": "query: "}, "normalize": True},
        "provenance": {"licence": "Apache-2.0", "versions": {"torch": "2"}},
        "probes": [Probe(text="é 😀", columns=[0, 2], logits=[[0.1, -1e-7]])],
    }
    folder = write_bundle(tmp_path, byte_level, **fields)
    bundle = read(folder)
    expected = make_manifest(files=files_of(folder), **fields)
    assert bundle.manifest == expected
    assert bundle.verified
    assert bundle.config == {"model_type": "roberta", "pad_token_id": 1}
    assert bundle.graph_file("fp32") == folder / "model.fp32.onnx"
    assert set(files_of(folder)) == {"config.json", "tokenizer.json", "model.fp32.onnx"}


def truncate_graph(folder):
    graph = folder / "model.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])


def alter_tokenizer(folder):
    with (folder / "tokenizer.json").open("a") as stream:
        stream.write(" ")


def link_config_outside(folder):
    (folder / "config.json").rename(folder.parent / "config.json")
    (folder / "config.json").symlink_to(folder.parent / "config.json")


def break_config(folder):
    (folder / "config.json").write_text("[1]")
    edit(folder, files=files_of(folder) | {"config.json": sha256(folder / "config.json")})


CORRUPTIONS = {
    "missing manifest": (lambda f: (f / "manifest.json").unlink(), r"manifest\.json is missing"),
    "missing tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "missing graph": (lambda f: (f / "model.fp32.onnx").unlink(), r"model\.fp32\.onnx is missing"),
    "truncated graph": (truncate_graph, r"model\.fp32\.onnx was altered or half-copied"),
    "empty graph": (lambda f: (f / "model.fp32.onnx").write_bytes(b""), r"model\.fp32\.onnx was altered"),
    "altered tokenizer": (alter_tokenizer, r"tokenizer\.json was altered or half-copied"),
    "config that is a list": (break_config, r"config\.json cannot be read as a JSON object"),
    "config outside": (link_config_outside, r"names 'config\.json', which is outside the bundle"),
    "other name": (lambda f: edit(f, name="other"), "says other:1 but the folder says toy:1"),
    "other version": (lambda f: edit(f, version=2), "says toy:2 but the folder says toy:1"),
    "no JSON": (lambda f: (f / "manifest.json").write_text('{"name": '), r"manifest\.json is not valid at document"),
    "no UTF-8": (lambda f: (f / "manifest.json").write_bytes(b"\xff{}"), r"manifest\.json is not valid at document"),
    "a list": (lambda f: (f / "manifest.json").write_text("[]"), r"manifest\.json is not valid at document"),
    "unknown schema": (lambda f: edit(f, schema_version=2), "not valid at schema_version"),
    "unknown field": (lambda f: edit(f, surprise=1), "not valid at surprise"),
    "no graphs": (lambda f: edit(f, graphs={}), "not valid at graphs"),
    "unlisted files": (lambda f: edit(f, files={}), r"no sha256 for config\.json, model\.fp32\.onnx, tokenizer\.json"),
    "file outside": (lambda f: edit(f, files=files_of(f) | {"../x": "0"}), r"names '\.\./x', which is outside"),
    "absolute file": (lambda f: edit(f, files=files_of(f) | {"/etc/passwd": "0"}), "which is outside the bundle"),
    "graph outside": (
        lambda f: edit(f, graphs={"fp32": {"file": "../g", "tolerance": 1}}, files=files_of(f) | {"../g": "0"}),
        r"names '\.\./g', which is outside",
    ),
}


@pytest.mark.parametrize(("corrupt", "reason"), CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_a_corrupted_bundle_is_refused_with_its_reason(corrupt, reason, bundle):
    corrupt(bundle)
    with pytest.raises(BundleError, match=reason):
        read(bundle)


def test_a_file_that_the_manifest_does_not_name_harms_nothing(bundle):
    (bundle / "notes.txt").write_text("later")
    assert read(bundle).verified


def test_the_task_of_a_bundle_is_read_whatever_it_is(bundle):
    edit(bundle, task="translation")
    assert read(bundle).manifest.task == "translation"


# --- Writing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_version_leaves_nothing(error, tmp_path):
    def fail():
        with new_version(tmp_path, "toy") as (folder, _):
            (folder / "model.onnx").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_version_becomes_visible_only_when_it_is_whole(tmp_path):
    with new_version(tmp_path, "toy") as (folder, version):
        (folder / "a").write_text("a")
        assert version == 1
        assert versions(tmp_path, "toy") == []
    assert versions(tmp_path, "toy") == [1]
    assert (tmp_path / "toy" / "1" / "a").read_text() == "a"
    assert (tmp_path / "toy" / "1").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["1"]


def test_two_writers_at_once_get_two_numbers(tmp_path):
    with new_version(tmp_path, "toy") as (slow, first):
        (slow / "who").write_text("slow")
        with new_version(tmp_path, "toy") as (fast, second):
            (fast / "who").write_text("fast")
    assert (first, second) == (1, 2)
    assert [(tmp_path / "toy" / number / "who").read_text() for number in ("1", "2")] == ["slow", "fast"]


def test_versions_are_the_numbered_folders_highest_first(tmp_path):
    for name in ("1", "2", "10", ".partial-x", "old"):
        (tmp_path / "toy" / name).mkdir(parents=True)
    (tmp_path / "toy" / "3").write_text("a file, not a folder")
    assert versions(tmp_path, "toy") == [10, 2, 1]
    assert versions(tmp_path, "nothing") == []
    with new_version(tmp_path, "toy") as (_, version):
        assert version == 11


def test_a_manifest_hashes_files_in_folders_too(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"x")
    write_manifest(tmp_path, make_manifest())
    assert files_of(tmp_path) == {"onnx/model.onnx": sha256(tmp_path / "onnx" / "model.onnx")}


# --- Probes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "answered", "drift"),
    [
        (None, [[1.0, 2.5]], 0.5),
        ([2, 0], [[2.0, 9.0, 1.25]], 0.25),
        (None, [[1.0, 2.0], [1.0, 2.0]], float("inf")),
        (None, [[1.0, 2.0, 3.0]], float("inf")),
        (None, [[1.0, float("nan")]], float("inf")),
    ],
)
def test_drift_is_the_greatest_difference_of_logits(columns, answered, drift):
    probe = Probe(text="a", columns=columns, logits=[[1.0, 2.0]])
    assert probe.drift(np.array(answered, np.float32)) == pytest.approx(drift)
