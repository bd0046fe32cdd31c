"""The registry: what loads is served, what does not is refused by name with its reason, and stops nobody else."""

import asyncio
import json
import re
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from prometheus_client import CollectorRegistry

from app.bundle import read_bundle
from app.defaults import set_default
from app.engine.engine import Engine
from app.engine.scheduler import Limits
from app.errors import ModelNotFoundError, NotReadyError
from app.loading import Loader
from app.metrics import Metrics
from app.registry import Registry
from app.settings import Settings
from app.tasks.classify import ClassifyRequest
from tests.app.builders import TABLE, toy_graph, toy_probe, wordpiece_tokenizer, write_bundle, write_hub_folder


def make_registry(folder, engine=None, **settings):
    metrics = Metrics(CollectorRegistry())
    registry = Registry(folder.name)
    registry.load = Loader(Settings(models=folder, **settings), "cpu", engine, metrics, registry).load
    registry.metrics = metrics.registry
    return registry


def load(folder, **settings):
    registry = make_registry(folder, **settings)
    registry.load()
    return registry


def states(registry):
    return {entry.name: entry.model.id if entry.model else "failed" for entry in registry.entries}


def reason(registry, name="toy", version=1):
    (entry,) = [entry for entry in registry.entries if entry.name == name]
    return entry.refused[version]


@contextmanager
def running_engine():
    engine = Engine(Limits(100_000, 10.0, runners=2), Metrics(CollectorRegistry()))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def ask(registry, body, route="classify"):
    """Answer a classification request as a route would."""
    work = registry.find(route, None).answer(ClassifyRequest.model_validate(body), deadline=time.monotonic() + 30)
    return json.loads(asyncio.run(work).content)


def scores(entries):
    return {entry["label"]: entry["score"] for entry in entries}


# --- Refusals -------------------------------------------------------------------------------------------


def test_before_the_first_load_nothing_is_ready(tmp_path):
    registry = make_registry(tmp_path)
    with pytest.raises(NotReadyError, match="still loading"):
        registry.find("classify", None)
    assert registry.entries == []


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_without_a_model_it_says_so(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotReadyError, match=f"no model under {folder}/ could be loaded"):
        load(tmp_path / folder).check_ready()


def test_a_corrupted_newest_version_gives_way_to_the_older_one(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level)
    newest = write_bundle(tmp_path, byte_level)
    (newest / "model.fp32.onnx").write_bytes(b"half")
    registry = load(tmp_path)
    assert states(registry) == {"toy": "toy:1"}
    assert "model.fp32.onnx was altered or half-copied" in reason(registry, version=2)
    assert registry.metrics.get_sample_value("roberta_model_load_failures_total", {"model": "toy"}) == 1


def write_graph_bundle(folder, byte_level, graph):
    write_bundle(folder, byte_level, name="bad", graph=graph)


def garbage(folder, byte_level):
    """A graph whose hash is right and which is no graph."""
    write_hub_folder(folder / "bad", byte_level)
    (folder / "bad" / "model.onnx").write_bytes(b"no graph")


def unknown_input(folder, byte_level):
    graph = toy_graph()
    graph.graph.input[1].name = graph.graph.node[1].input[1] = "pixel_values"
    write_graph_bundle(folder, byte_level, graph)


def small_vocabulary(folder, byte_level):
    """A graph that fails on every text."""
    write_graph_bundle(folder, byte_level, toy_graph(TABLE[:4]))


def wrong_width(folder, byte_level):
    write_graph_bundle(folder, byte_level, toy_graph(np.tile(TABLE, 2)))


def bad_tokenizer(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level)
    (folder / "bad" / "tokenizer.json").write_text('{"version": "9"}')


def bad_config(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, {"max_position_embeddings": None})


def empty_folder(folder, byte_level):
    (folder / "bad").mkdir()


def fp16_alone(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, graphs=["model_fp16.onnx"])


def no_labels(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, {"id2label": {}})


def no_vocabulary_head(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, {"architectures": ["RobertaForMaskedLM"], "vocab_size": 320})


def no_mask_token(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, {"architectures": ["RobertaForMaskedLM"]})
    file = folder / "bad" / "tokenizer.json"
    file.write_text(file.read_text().replace("<mask>", "<blank>"))


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (garbage, r"onnxruntime cannot open model\.onnx"),
        (unknown_input, "inputs that no packed batch provides: pixel_values"),
        (small_vocabulary, "the graph does not run"),
        (wrong_width, "the graph answers 6 columns where there are 3 labels"),
        (bad_tokenizer, r"tokenizer\.json cannot be used"),
        (bad_config, "max_position_embeddings"),
        (empty_folder, r"config\.json is missing"),
        (fp16_alone, r"none of its graphs \(fp16\) runs on cpu"),
        (no_labels, "text-classification needs labels"),
        (no_vocabulary_head, "the graph answers 3 columns where the vocabulary has 320 tokens"),
        (no_mask_token, "the tokenizer has no mask token"),
    ],
)
def test_one_broken_bundle_is_refused_by_name_and_the_others_are_served(write, expected, tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="a")
    write(tmp_path, byte_level)
    write_bundle(tmp_path, byte_level, name="c")
    registry = load(tmp_path)
    assert states(registry) == {"a": "a:1", "bad": "failed", "c": "c:1"}
    assert re.search(expected, reason(registry, "bad"))
    with pytest.raises(ModelNotFoundError):
        registry.find("classify", "bad")


def test_a_defect_in_loading_one_bundle_does_not_stop_the_others(tmp_path, byte_level, monkeypatch):
    def read(path, *, name, version):
        if name == "bad":
            raise RuntimeError("nobody thought of this")
        return read_bundle(path, name=name, version=version)

    monkeypatch.setattr("app.loading.read_bundle", read)
    write_bundle(tmp_path, byte_level, name="bad")
    write_bundle(tmp_path, byte_level, name="good")
    registry = load(tmp_path)
    assert states(registry) == {"bad": "failed", "good": "good:1"}
    assert "nobody thought of this" in reason(registry, "bad")


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(tmp_path, byte_level, monkeypatch):
    """Root may read everything, so the file system cannot be what refuses."""
    listing = Path.iterdir

    def iterdir(path):
        if path.name == "bad":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    (tmp_path / "bad").mkdir()
    write_bundle(tmp_path, byte_level, name="good")
    assert states(load(tmp_path)) == {"bad": "failed", "good": "good:1"}


def test_a_models_folder_that_cannot_be_read_is_said_and_what_is_served_stays(tmp_path, byte_level, monkeypatch):
    write_bundle(tmp_path, byte_level)
    registry = make_registry(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("app.loading.is_bundle", lambda _: listing_fails())
        registry.load()
        with pytest.raises(NotReadyError, match="the models folder cannot be read"):
            registry.check_ready()
    registry.load()
    monkeypatch.setattr("app.loading.is_bundle", lambda _: listing_fails())
    registry.load()
    assert states(registry) == {"toy": "toy:1"}
    registry.check_ready()


def listing_fails():
    raise PermissionError(13, "Permission denied")


def test_hidden_and_temporary_folders_are_no_bundles(tmp_path, byte_level):
    for name in (".git", "_old", ".partial-x", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("")
    write_bundle(tmp_path, byte_level)
    (tmp_path / "toy" / ".partial-x").mkdir()
    assert states(load(tmp_path)) == {"toy": "toy:1"}


# --- Probes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "state"), [(0.0, "toy:1"), (9e-4, "toy:1"), (2e-3, "failed"), (1.0, "failed")])
def test_a_graph_that_is_not_the_trained_model_is_refused(shift, state, tmp_path, byte_level, encoder):
    """The manifest's tolerance is 1e-3."""
    probes = [toy_probe(encoder, "a good film"), toy_probe(encoder, "Ada", shift)]
    write_bundle(tmp_path, byte_level, probes=probes)
    registry = load(tmp_path)
    assert states(registry) == {"toy": state}
    if state == "failed":
        assert reason(registry).startswith(f"probe 1 drifted by {shift:.4g} from the trained model, more than 0.001")


# --- External data --------------------------------------------------------------------------------------


def externalise(graph, location):
    """Move a graph's table to a file beside it."""
    tensor = graph.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return data


@pytest.mark.parametrize(
    ("location", "state"), [("weights.bin", "toy:1"), ("../weights.bin", "failed"), ("link.bin", "failed")]
)
def test_weights_outside_the_folder_are_refused(location, state, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    graph = toy_graph(padded=True)
    weights = externalise(graph, location)
    onnx.save(graph, folder / "model.onnx")
    for place in (folder, tmp_path):
        (place / "weights.bin").write_bytes(weights)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    registry = load(tmp_path)
    assert states(registry) == {"toy": state}
    assert state != "failed" or "External data path" in reason(registry)


# --- Finding --------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path, byte_level):
    for name in ("beta", "alpha", "beta"):
        write_bundle(tmp_path, byte_level, name=name)
    config = {"architectures": ["RobertaForTokenClassification"]}
    write_hub_folder(tmp_path / "tags", byte_level, config)
    return tmp_path


@pytest.mark.parametrize(
    ("defaults", "route", "spec", "expected"),
    [
        ({}, "classify", None, "alpha:1"),  # the first by name
        ({}, "ner", None, "tags:1"),
        ({"classify": "beta"}, "classify", None, "beta:2"),
        ({"classify": "beta:2"}, "classify", None, "beta:2"),
        ({"classify": "beta"}, "classify", "alpha", "alpha:1"),
        ({}, None, "tags", "tags:1"),
        ({}, "classify", "beta:2", "beta:2"),
    ],
)
def test_finding_a_model(defaults, route, spec, expected, three):
    assert load(three, default_models=defaults).find(route, spec).id == expected


@pytest.mark.parametrize(
    ("route", "spec", "message"),
    [
        ("classify", "gamma", "there is no model 'gamma'"),
        ("classify", "beta:1", "version '1' of 'beta' is not loaded; beta:2 is"),
        ("classify", "beta:x", "version 'x' of 'beta' is not loaded"),
        ("classify", "tags", "'tags' answers /ner, not /classify"),
        ("fill-mask", None, "no model for /fill-mask is loaded"),
    ],
)
def test_finding_no_model(route, spec, message, three):
    registry = load(three)
    with pytest.raises(ModelNotFoundError, match=message):
        registry.find(route, spec)


def test_a_published_default_answers_until_the_setting_says_otherwise(three):
    registry = load(three)
    assert registry.find("classify", None).name == "alpha"
    set_default(three, "classify", "beta")
    registry.load()
    assert registry.find("classify", None).name == "beta"
    set_default(three, "classify", "alpha")
    assert load(three, default_models={"classify": "beta"}).find("classify", None).name == "beta"


@pytest.mark.parametrize("text", ["", "[]", '{"classify": 1}', "\x00"], ids=repr)
def test_defaults_that_are_not_understood_leave_the_models_served(text, three):
    (three / "defaults.json").write_text(text)
    assert load(three).find("classify", None).name == "alpha"


# --- Loading again --------------------------------------------------------------------------------------


def test_a_second_load_picks_up_what_is_new_and_keeps_what_is_served(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="a")
    write_bundle(tmp_path, byte_level, name="b")
    registry = load(tmp_path)
    served = registry.find(None, "b")
    write_bundle(tmp_path, byte_level, name="a")
    write_bundle(tmp_path, byte_level, name="c")
    registry.load()
    assert states(registry) == {"a": "a:2", "b": "b:1", "c": "c:1"}
    assert registry.find(None, "b") is served
    (info,) = [family for family in registry.metrics.collect() if family.name == "roberta_model_info"]
    assert [(s.labels["model"], s.labels["version"]) for s in info.samples] == [("a", "2"), ("b", "1"), ("c", "1")]


def test_a_second_load_that_finds_a_bad_version_keeps_serving_the_good_one(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level)
    registry = load(tmp_path)
    served = registry.find(None, "toy")
    (write_bundle(tmp_path, byte_level) / "config.json").unlink()
    registry.load()
    assert registry.find(None, "toy") is served
    assert reason(registry, version=2) == "config.json is missing"


def test_a_model_that_was_removed_is_no_longer_served(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="a")
    folder = write_bundle(tmp_path, byte_level, name="b")
    registry = load(tmp_path)
    folder.parent.rename(tmp_path / ".b")
    registry.load()
    assert states(registry) == {"a": "a:1"}
    assert registry.metrics.get_sample_value("roberta_model_loaded", {"model": "b"}) is None


def test_what_is_loaded_shows_in_the_metrics(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="good")
    (tmp_path / "bad").mkdir()
    value = load(tmp_path).metrics.get_sample_value
    assert value("roberta_model_loaded", {"model": "good"}) == 1
    assert value("roberta_model_loaded", {"model": "bad"}) == 0
    assert value("roberta_model_load_failures_total", {"model": "good"}) == 0
    assert value("roberta_requests_total", {"task": "classify", "model": "good", "code": "200"}) == 0


# --- Answers --------------------------------------------------------------------------------------------


def test_a_loaded_bundle_answers(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level)
    with running_engine() as engine:
        registry = make_registry(tmp_path, engine)
        registry.load()
        (entries,) = ask(registry, {"inputs": "a good film", "parameters": {"function_to_apply": "none"}})
    assert scores(entries) == pytest.approx(dict(zip("abc", TABLE[0].tolist(), strict=True)))  # of <s>, token 0


@pytest.fixture(scope="module")
def hub_bert(tmp_path_factory):
    """A random BERT exported as others do: (batch, sequence) with an attention mask; and the PyTorch model."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = wordpiece_tokenizer()
    folder = tmp_path_factory.mktemp("hub") / "bert"
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            id2label={0: "no", 1: "yes"},
        )
    ).eval()
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "onnx").mkdir()

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    ids = torch.ones((2, 7), dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    with warnings.catch_warnings(action="ignore"):  # torch's exporter uses what torch has deprecated
        torch.onnx.export(
            Logits().eval(),
            (ids, ids.clone()),
            folder / "onnx" / "model.onnx",
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(axes, axes),
            verbose=False,
        )
    return folder, model, tokenizer


def test_a_hub_folder_with_a_padded_graph_answers_as_pytorch_does(hub_bert):
    import torch

    folder, model, tokenizer = hub_bert
    texts = ["paris", "paris is good, a play in paris!", "a", "xyz " * 15, "is in"]
    with running_engine() as engine:
        registry = make_registry(folder.parent, engine)
        registry.load()
        assert states(registry) == {"bert": "bert:1"}, registry.entries
        answers = ask(registry, {"inputs": texts, "parameters": {"function_to_apply": "none"}})
    for text, entries in zip(texts, answers, strict=True):
        with torch.inference_mode():
            expected = model(torch.tensor([tokenizer.encode(text).ids])).logits[0].tolist()
        assert scores(entries) == pytest.approx(dict(zip(["no", "yes"], expected, strict=True)), abs=1e-4)
