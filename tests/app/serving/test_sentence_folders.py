"""Folders of sentence-transformers, loaded as they are: the vectors are those of that library to 1e-4."""

import json
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic_core import from_json

from app.bundle import BundleError
from app.runtime.cpu.session import CpuSession
from app.serving.proving import prove
from app.serving.sources import read_folder
from app.tasks import open_task
from app.tasks.embed import EmbedRequest
from tests.support.embedding import TABLE, embedding_graph
from tests.support.embedding import WIDTH as TOY_WIDTH
from tests.support.sentences import WIDTH, export_tokens, tiny_encoder, write, write_sentences

TEXTS = ["a film", "a good and lovely film , warm and great .", "Paris", "Ada Byron met Bob in Paris and Rome ."]
LONG = "a good and lovely film . " * 40


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture(scope="module")
def graph(encoder, tmp_path_factory):
    file = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_tokens(encoder, file)
    return file.read_bytes()


def opened(folder):
    """Return a folder's session and task, proved as the service proves them."""
    bundle = read_folder(folder, name="toy", version=1)
    session = CpuSession(bundle, "fp32")
    return session, prove(bundle, session, None, 256)


def answer(session, task, inputs, **fields):
    request = EmbedRequest.model_validate({"inputs": inputs, **fields})
    encoded = task.encode(request)
    outputs = session.run(encoded.windows)
    assert all(len(rows) == 1 for rows in outputs)  # no token vectors leave the session
    return np.array(from_json(task.render(request, encoded.state, outputs)), np.float32)


MODELS = {
    "mean": {},
    "cls": {"pooling": ("cls",)},
    "max": {"pooling": ("max",)},
    "mean_sqrt_len": {"pooling": ("mean_sqrt_len_tokens",)},
    "weighted mean": {"pooling": ("weightedmean",)},
    "last token": {"pooling": ("lasttoken",)},
    "cls and mean": {"pooling": ("cls", "mean")},
    "normalized": {"normalize": True},
    "dense": {"dense": ("Tanh",), "normalize": True},
    "dense after two poolings": {"pooling": ("max", "mean"), "dense": ("Identity", "GELU")},
    "older": {"pooling": ("cls",), "older": True, "normalize": True},
}


@pytest.mark.parametrize("fields", MODELS.values(), ids=MODELS)
def test_the_vectors_are_those_of_sentence_transformers(fields, encoder, graph, tmp_path):
    model = write_sentences(tmp_path / "toy", encoder, graph, **fields)
    session, task = opened(model.folder)
    expected = np.stack([model.encode(text) for text in TEXTS])
    assert np.abs(answer(session, task, TEXTS) - expected).max() < 1e-4
    assert np.abs(answer(session, task, LONG, truncate=True)[0] - model.encode(LONG)).max() < 1e-4
    assert task.advice(task.manifest) is None


@pytest.mark.parametrize("fields", [{}, {"pooling": ("max",)}], ids=["mean", "max"])
def test_a_graph_without_a_mask_is_pooled_too(fields, encoder, tmp_path):
    toy = embedding_graph(pooled=False)
    toy.graph.input.pop()
    model = write_sentences(tmp_path / "toy", encoder, toy.SerializeToString(), **fields)
    session, task = opened(model.folder)
    vectors = answer(session, task, ["a", "a film", "Paris"])
    ids = [task.encode(EmbedRequest(inputs=text)).windows[0].input_ids for text in ("a", "a film", "Paris")]
    pooled = [TABLE[each].max(axis=0) if fields else TABLE[each].mean(axis=0) for each in ids]
    assert np.allclose(vectors, np.stack(pooled), atol=1e-5)


def test_weights_beside_the_graph_are_found(encoder, tmp_path):
    model = write_sentences(tmp_path / "toy", encoder, b"")
    toy = embedding_graph(pooled=False)
    file = model.folder / "onnx" / "model.onnx"
    onnx.save(toy, file, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    session, task = opened(model.folder)
    (ids,) = [w.input_ids for w in task.encode(EmbedRequest(inputs="a film")).windows]
    assert np.allclose(answer(session, task, "a film")[0], TABLE[ids].mean(axis=0), atol=1e-5)


def test_a_graph_that_pools_is_read_as_it_is(encoder, tmp_path):
    model = write_sentences(tmp_path / "toy", encoder, embedding_graph().SerializeToString(), normalize=True)
    config = json.loads((model.folder / "config.json").read_text())
    (model.folder / "config.json").write_text(json.dumps(config | {"hidden_size": TOY_WIDTH}))
    session, task = opened(model.folder)
    assert np.isclose(np.linalg.norm(answer(session, task, "a film")[0]), 1)
    assert task.settings.is_normalized


def test_a_folder_without_modules_is_pooled_by_the_mean_and_that_is_said(encoder, graph, tmp_path):
    model = write_sentences(tmp_path / "toy", encoder, graph)
    (model.folder / "modules.json").unlink()
    session, task = opened(model.folder)
    assert np.abs(answer(session, task, TEXTS[1])[0] - model.encode(TEXTS[1])).max() < 1e-4
    assert "nothing says which pooling the model was trained with" in task.advice(task.manifest)


def test_prompts_and_the_longest_window_are_those_of_the_folder(encoder, graph, tmp_path):
    model = write_sentences(
        tmp_path / "toy", encoder, graph, prompts={"query": "Paris : ", "document": ""}, default_prompt_name="query"
    )
    write(model.folder / "sentence_bert_config.json", {"max_seq_length": 16, "do_lower_case": True})
    session, task = opened(model.folder)
    assert np.abs(answer(session, task, "A Film") - model.encode("paris : a film")).max() < 1e-4
    assert np.abs(answer(session, task, "A Film", prompt_name="document") - model.encode("a film")).max() < 1e-4
    assert task.encoder.max_length == 16


def test_an_embedding_model_is_one_whatever_it_was_made_from(encoder, graph, tmp_path):
    model = write_sentences(tmp_path / "toy", encoder, graph)
    config = json.loads((model.folder / "config.json").read_text())
    (model.folder / "config.json").write_text(json.dumps(config | {"architectures": ["RobertaForMaskedLM"]}))
    assert read_folder(model.folder, name="toy", version=1).manifest.task == "feature-extraction"


# --- What is not served, by name --------------------------------------------------------------------------


def rewrite(file, **changes):
    write(file, json.loads(file.read_text()) | changes)


def add_module(folder, kind):
    entries = json.loads((folder / "modules.json").read_text())
    write(folder / "modules.json", [*entries, {"idx": 9, "name": "9", "path": "9_Other", "type": f"x.y.{kind}"}])


def pickle_dense(folder):
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")


def with_logits(folder):
    value = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 3])
    nodes = [helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT)]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", 3])
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [ids], [value])), folder / "onnx" / "model.onnx")


REFUSED = {
    "pooling": (
        lambda f: rewrite(f / "1_Pooling" / "config.json", pooling_mode="attention"),
        "has the pooling 'attention'",
    ),
    "no pooling": (lambda f: write(f / "1_Pooling" / "config.json", {}), "1_Pooling/config.json names no pooling"),
    "module": (lambda f: add_module(f, "LSTM"), "has the module LSTM after the pooling"),
    "no modules": (lambda f: write(f / "modules.json", {}), "modules.json is not a list of modules"),
    "outside": (
        lambda f: write(f / "modules.json", [{"type": "x.Transformer", "path": "../a"}]),
        "outside of the folder",
    ),
    "pickled": (pickle_dense, r"the weights of 2_Dense are pickled.*type: roberta-train convert"),
    "half": (lambda f: (f / "2_Dense" / "model.safetensors").write_bytes(b"{}"), "is not a safetensors file of floats"),
    "activation": (
        lambda f: rewrite(f / "2_Dense" / "config.json", activation_function="torch.nn.ELU"),
        "has the activation 'ELU'",
    ),
    "residual": (lambda f: rewrite(f / "2_Dense" / "config.json", use_residual=True), "a residual or over tokens"),
    "graph": (with_logits, "its graph answers logits, and neither last_hidden_state nor sentence_embedding"),
    "prompt": (
        lambda f: (
            rewrite(f / "1_Pooling" / "config.json", include_prompt=False),
            rewrite(f / "config_sentence_transformers.json", prompts={"query": "query: "}),
        ),
        "leaves prompts out of the pooling",
    ),
    "default prompt": (
        lambda f: rewrite(f / "config_sentence_transformers.json", default_prompt_name="query"),
        "the default prompt 'query' is not among the prompts",
    ),
    "transformer": (
        lambda f: write(f / "modules.json", [{"type": "x.Pooling", "path": "1_Pooling"}]),
        r"modules.json has Pooling; a transformer whose files are beside modules.json",
    ),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_served_is_named(change, reason, encoder, graph, tmp_path):
    model = write_sentences(tmp_path / "toy", encoder, graph, dense=("Tanh",))
    change(model.folder)
    with pytest.raises(BundleError) as raised:
        open_task(read_folder(model.folder, name="toy", version=1), "fp32")
    assert re.search(reason, str(raised.value))
    assert str(tmp_path) not in str(raised.value)


def test_the_width_of_vectors_is_that_of_the_last_layer(encoder, graph, tmp_path):
    for number, (fields, width) in enumerate(
        [({}, WIDTH), ({"pooling": ("cls", "max")}, 64), ({"dense": ("Tanh",)}, 8)]
    ):
        model = write_sentences(tmp_path / str(number), encoder, graph, **fields)
        manifest = read_folder(model.folder, name="toy", version=1).manifest
        assert manifest.task_settings["dimensions"] == width
