"""Bundles of a task that is served, and folders as Optimum and the Hub make them: read, or refused with the reason."""

import json
from pathlib import Path

import pytest

from app.bundle import BundleError
from app.serving.sources import read_folder
from app.tasks import MODEL_TASKS
from tests.app.builders import make_graph, write_bundle, write_hub_folder


def with_thresholds(*names):
    return {"fp32": make_graph(thresholds=dict.fromkeys(names, 0.5))}


def read(folder, name="toy"):
    return read_folder(folder, name=name, version=1)


# --- Bundles --------------------------------------------------------------------------------------------


def test_a_folder_with_a_manifest_is_read_as_a_bundle(tmp_path, byte_level):
    bundle = read(write_bundle(tmp_path, byte_level))
    assert bundle.verified
    assert bundle.manifest.layout == "packed"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"task": "translation"},
            f"task 'translation' is not served here; there are {', '.join(sorted(MODEL_TASKS))}",
        ),
        ({"labels": []}, "text-classification needs labels"),
        ({"task": "token-classification", "labels": []}, "token-classification needs labels"),
        ({"graphs": with_thresholds("a")}, "the thresholds of fp32 are not those of the labels"),
        (
            {"task": "fill-mask", "labels": [], "graphs": with_thresholds("a")},
            "the thresholds of fp32 are not known here",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bundle_that_no_task_can_serve_is_refused_with_its_reason(fields, reason, tmp_path, byte_level):
    folder = write_bundle(tmp_path, byte_level, **fields)
    with pytest.raises(BundleError, match=f"^{reason}$"):
        read(folder)


def test_a_bundle_of_fill_mask_needs_no_labels(tmp_path, byte_level):
    assert read(write_bundle(tmp_path, byte_level, task="fill-mask", labels=[])).manifest.labels == []


# --- Folders of the Hub ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["model.onnx"], {"fp32": "model.onnx"}),
        (["onnx/model.onnx"], {"fp32": "onnx/model.onnx"}),
        (["model.onnx", "onnx/model.onnx"], {"fp32": "model.onnx"}),
        (["model_fp16.onnx"], {"fp16": "model_fp16.onnx"}),
        (["onnx/model_fp16.onnx"], {"fp16": "onnx/model_fp16.onnx"}),
        (["model_quantized.onnx"], {"int8": "model_quantized.onnx"}),
        (["onnx/model_quantized.onnx"], {"int8": "onnx/model_quantized.onnx"}),
        (["onnx/model_int8.onnx"], {"int8": "onnx/model_int8.onnx"}),
        (["onnx/model.onnx", "onnx/model_int8.onnx"], {"fp32": "onnx/model.onnx", "int8": "onnx/model_int8.onnx"}),
    ],
    ids=str,
)
def test_the_graphs_of_a_hub_folder(files, expected, tmp_path, byte_level):
    bundle = read(write_hub_folder(tmp_path / "toy", byte_level, graphs=files))
    assert {precision: graph.file for precision, graph in bundle.manifest.graphs.items()} == expected
    assert bundle.manifest.layout == "padded"
    assert not bundle.verified


@pytest.mark.parametrize(
    ("config", "limit", "max_length"),
    [
        ({}, None, 64),  # 66 positions, the first of them pad_token_id + 1 = 2
        ({}, 32, 32),
        ({}, 512, 64),
        ({}, 1e30, 64),  # what transformers writes where it knows no limit
        ({"model_type": "bert", "pad_token_id": 0}, None, 66),
        ({"model_type": "xlm-roberta"}, None, 64),
    ],
    ids=str,
)
def test_the_longest_window_of_a_hub_folder(config, limit, max_length, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level, config)
    if limit:
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": limit}))
    assert read(folder).manifest.max_length == max_length


@pytest.mark.parametrize(
    ("config", "task", "labels", "problem_type"),
    [
        (
            {"id2label": {"1": "neg", "0": "pos"}},
            "text-classification",
            ["pos", "neg"],
            "single_label_classification",
        ),
        (
            {"problem_type": "multi_label_classification"},
            "text-classification",
            ["a", "b", "c"],
            "multi_label_classification",
        ),
        ({"architectures": ["BertForTokenClassification"]}, "token-classification", ["a", "b", "c"], None),
        ({"architectures": ["XLMRobertaForMaskedLM"]}, "fill-mask", [], None),
    ],
    ids=str,
)
def test_the_task_and_labels_of_a_hub_folder(config, task, labels, problem_type, tmp_path, byte_level):
    manifest = read(write_hub_folder(tmp_path / "toy", byte_level, config)).manifest
    assert (manifest.task, manifest.labels, manifest.problem_type) == (task, labels, problem_type)


def test_twelve_labels_are_in_the_order_of_their_numbers(tmp_path, byte_level):
    config = {"id2label": {str(n): f"label {n}" for n in range(12)}}
    manifest = read(write_hub_folder(tmp_path / "toy", byte_level, config)).manifest
    assert manifest.labels == [f"label {n}" for n in range(12)]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"architectures": ["T5ForConditionalGeneration"]}, r"\['T5ForConditionalGeneration'\] name no task"),
        ({"architectures": None}, "name no task served here"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label must name the columns 0, 1, 2"),
        ({"id2label": {"zero": "a"}}, "id2label must name the columns 0, 1, 2"),
        ({"problem_type": "haiku"}, "problem_type"),
        ({"max_position_embeddings": None}, "max_position_embeddings"),
        ({"max_position_embeddings": "many"}, "max_position_embeddings"),
        ({"max_position_embeddings": 5}, "max_length"),
        ({"pad_token_id": "x"}, "pad_token_id"),
    ],
    ids=str,
)
def test_a_hub_folder_that_is_not_understood_is_refused_with_its_reason(config, reason, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level, config)
    with pytest.raises(BundleError, match=reason):
        read(folder)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("config.json", r"config\.json is missing"),
        ("tokenizer.json", r"tokenizer\.json is missing, and there is no vocabulary to make one of"),
        ("model.onnx", r"no manifest\.json, ONNX graph .* or model\.safetensors; the folder has config\.json"),
    ],
)
def test_a_hub_folder_without_a_file_is_refused_with_its_reason(file, reason, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    (folder / file).unlink()
    with pytest.raises(BundleError, match=reason):
        read(folder)


def test_a_name_that_no_url_could_carry_is_refused(tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "My Model", byte_level)
    with pytest.raises(BundleError, match="name"):
        read(folder, name="My Model")


def test_no_bundle_is_what_is_no_folder():
    with pytest.raises(BundleError, match="missing"):
        read(Path("/nowhere"))
