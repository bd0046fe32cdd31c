"""The registry: which model a request means, what a reload changes, and that what is found answers."""

import asyncio
import gc
import json
import time
import warnings
import weakref
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from app.bundle.defaults import set_default
from app.engine.admission import Limits
from app.engine.engine import Engine
from app.errors import ModelNotFoundError
from app.metrics import Metrics
from app.serving.memory import AnswerMemory
from app.serving.pipeline import Shared
from app.serving.pool import Pool
from app.tasks.classify import ClassifyRequest
from tests.app.builders import TABLE, wordpiece_tokenizer, write_bundle, write_hub_folder
from tests.app.registries import load, make_registry, reason, states
from tests.support.server import until


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
    request, shared = ClassifyRequest.model_validate(body), Shared(Pool(1, 2**20), AnswerMemory(2**20))
    work = registry.find(route, None).pipelines[route].answer(request, shared, deadline=time.monotonic() + 30)
    return json.loads(asyncio.run(work).content)


def scores(entries):
    return {entry["label"]: entry["score"] for entry in entries}


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


def test_a_model_that_was_replaced_is_freed_without_the_garbage_collector(tmp_path, byte_level):
    """`publish` freezes what the collector knows, so that it would never free a cycle."""
    write_bundle(tmp_path, byte_level)
    registry = load(tmp_path, idle_threads=2)
    model = registry.find(None, "toy")
    replaced = [weakref.ref(each) for each in (model, model.lane, model.lane.run.__self__)]
    del model
    write_bundle(tmp_path, byte_level)
    registry.load()
    gc.disable()
    try:
        assert [reference() for reference in replaced] == [None] * 3
    finally:
        gc.enable()


def test_a_model_that_was_replaced_is_freed_though_every_runner_has_run_it(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level)
    with running_engine() as engine:
        registry = make_registry(tmp_path, engine)
        registry.load()
        for _ in range(20):
            ask(registry, {"inputs": ["a good film"] * 4})
        replaced = weakref.ref(registry.find(None, "toy").lane.run.__self__)
        write_bundle(tmp_path, byte_level)
        registry.load()
        until(lambda: replaced() is None, within_s=10)


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
