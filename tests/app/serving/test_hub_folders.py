"""Folders as people have them: what of each is served, under which labels, or the sentence that says what to do."""

import json
import shutil

import onnxruntime as ort
import pytest

from app.api.status import describe
from app.bundle import BundleError
from app.bundle.contents import NoGraphError
from app.runtime.session import choose_precision
from app.serving.sources import read_folder, with_columns
from tests.app.builders import toy_graph, write_hub_folder
from tests.app.serving.test_loading import load, states

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def read(folder):
    return read_folder(folder, name="toy", version=1)


def without(folder, *keys, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: config[key] for key in config if key not in keys}))


# --- Labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({}, ["LABEL_0", "LABEL_1"]),
        ({"num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"label2id": {"neg": 1, "pos": 0}}, ["pos", "neg"]),
        ({"label2id": {"neg": "1", "pos": "0"}}, ["pos", "neg"]),
        ({"id2label": ["pos", "neg"]}, ["pos", "neg"]),
        ({"id2label": None, "label2id": None}, ["LABEL_0", "LABEL_1"]),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"x": 5}}, ["a", "b"]),
    ],
    ids=str,
)
def test_labels_are_found_wherever_a_config_has_them(changes, labels, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    without(folder, *({"id2label"} - changes.keys()), **changes)
    assert read(folder).manifest.labels == labels


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id2label": {"0": "a", "2": "b"}}, "id2label must name the columns 0, 1, 2"),
        ({"label2id": {"a": 0, "b": 0}}, "label2id must name the columns"),
        ({"label2id": ["a"]}, "label2id must name the columns"),
        ({"num_labels": 0}, "num_labels 0 is no number of labels"),
        ({"num_labels": 10**9}, "is no number of labels"),
        ({"num_labels": "two"}, "whole number as num_labels"),
    ],
    ids=str,
)
def test_labels_of_no_sense_are_refused(changes, reason, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    without(folder, *({"id2label"} - changes.keys()), **changes)
    with pytest.raises(BundleError, match=reason):
        read(folder)


def test_columns_that_nothing_names_are_counted_in_the_graph(tmp_path, byte_level):
    without(write_hub_folder(tmp_path / "toy", byte_level), "id2label")
    (entry,) = load(tmp_path).entries
    assert entry.model.bundle.manifest.labels == ["LABEL_0", "LABEL_1", "LABEL_2"]
    named = read_folder(write_hub_folder(tmp_path / "named", byte_level), name="named", version=1)
    assert with_columns(named, lambda: 9) is named


# --- Graphs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    ["model_O2.onnx", "model_optimized.onnx", "onnx/model_O4.onnx", "onnx/model_uint8.onnx", "roberta.onnx"],
)
def test_the_one_graph_is_served_whatever_it_is_called(file, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level, graphs=[file])
    assert [graph.file for graph in read(folder).manifest.graphs.values()] == [file]
    assert states(load(tmp_path)) == {"toy": "toy:1"}


@pytest.mark.parametrize("kind", ["fp32", "fp16", "int8", "dynamic"])
def test_a_graph_is_what_it_is_made_of_and_not_what_it_is_called(kind, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    (folder / "model.onnx").write_bytes(toy_graph(padded=True, kind=kind).SerializeToString())
    ((precision, graph),) = read(folder).manifest.graphs.items()
    assert precision == ("int8" if kind == "dynamic" else kind)
    assert graph.depends_on_batch == (kind == "dynamic")
    (entry,) = load(tmp_path).entries
    assert entry.model.precision == precision


def test_of_several_graphs_the_plainest_of_each_precision_is_taken(tmp_path, byte_level):
    graphs = [
        "onnx/model.onnx",
        "onnx/model_O2.onnx",
        "onnx/model_qint8_arm64.onnx",
        "onnx/model_qint8_avx512_vnni.onnx",
    ]
    bundle = read(write_hub_folder(tmp_path / "toy", byte_level, graphs=[*graphs, "onnx/model_quantized.onnx"]))
    assert {p: g.file for p, g in bundle.manifest.graphs.items()} == {
        "fp32": "onnx/model.onnx",
        "int8": "onnx/model_quantized.onnx",
    }
    assert choose_precision(bundle, "cpu") == "fp32"
    assert choose_precision(bundle, "cpu", "int8") == "int8"


def test_models_says_that_answers_depend_on_the_batch(tmp_path, byte_level):
    write_hub_folder(tmp_path / "alone", byte_level, graphs=["model_quantized.onnx"])
    write_hub_folder(tmp_path / "both", byte_level, graphs=["model.onnx", "model_quantized.onnx"])
    alone, both = map(describe, load(tmp_path).entries)
    assert (alone["precision"], alone["depends_on_batch"]) == ("int8", True)
    assert "answers depend on the texts that are computed together" in alone["advice"]
    assert (both["precision"], both["depends_on_batch"]) == ("fp32", False)
    assert "advice" not in both


def test_a_graph_that_onnxruntime_has_optimized_is_taken(tmp_path, byte_level):
    """It names domains of operators that it does not use."""
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "model_optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    (folder / "model.onnx").unlink()
    assert states(load(tmp_path)) == {"toy": "toy:1"}


# --- What is no such folder ---------------------------------------------------------------------------------


def write(folder, *files, text="{}"):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["config.json", "model.safetensors"], "no ONNX graph yet; type: roberta-train export models/toy --name toy"),
        (["config.json", "model.safetensors.index.json"], "type: roberta-train export models/toy --name toy"),
        (["config.json", "pytorch_model.bin"], "pickled, which is not safe to load; type: roberta-train convert"),
        (["config.json", "tf_model.h5"], r"those of TensorFlow \(tf_model\.h5\)"),
        (["config.json", "flax_model.msgpack"], "those of Flax"),
        (["config.json", "modules.json", "model.safetensors"], "no ONNX graph yet; type: roberta-train export"),
        (["modules.json", "0_Transformer/config.json"], "save it again with version 3 or newer"),
        (["adapter_config.json", "adapter_model.safetensors"], "it is an adapter; merge it into its base"),
        (["inner/config.json"], "it is no model, but inner in it is"),
        (["notes.txt"], r"config\.json is missing; the folder has notes\.txt"),
        (["config.json", "a.onnx", "b.onnx"], r"several graphs, a\.onnx, b\.onnx; call the one to serve model\.onnx"),
    ],
    ids=str,
)
def test_a_folder_that_cannot_be_served_says_what_to_do(files, reason, tmp_path):
    write(tmp_path / "models" / "toy", *files)
    with pytest.raises(BundleError, match=reason) as raised:
        read(tmp_path / "models" / "toy")
    assert str(tmp_path) not in str(raised.value)
    assert isinstance(raised.value, NoGraphError) == ("roberta-train export" in reason)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.onnx"])
def test_a_pointer_of_git_lfs_is_named(file, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    (folder / file).write_text(POINTER)
    with pytest.raises(BundleError, match=f"{file} is a pointer of Git LFS.*git lfs pull"):
        read(folder)


# --- Tokenizers -------------------------------------------------------------------------------------------


def test_a_folder_with_a_vocabulary_only_answers_as_with_its_tokenizer(tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    other = shutil.copytree(folder, tmp_path / "other")
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (other / "tokenizer.json").unlink()
    (other / "vocab.json").write_text(json.dumps(model["vocab"]))
    (other / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in model["merges"]))
    (other / "special_tokens_map.json").write_text(json.dumps({"mask_token": {"content": "<mask>", "lstrip": True}}))
    first, second = (entry.model.task.encoder for entry in load(tmp_path).entries)
    for text in ("Ada met Bob", "  caf\u00e9\n", "a <mask> b"):
        assert first.encode([text])[0].ids == second.encode([text])[0].ids
    assert first.special == second.special
