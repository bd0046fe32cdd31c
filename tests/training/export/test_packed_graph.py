"""The exported graph is the checkpoint, whatever the mix of lengths, and an answer is the same in any batch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    CamembertConfig,
    CamembertForTokenClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from app.bundle import Bundle, Graph, Manifest, read_bundle
from app.runtime.cpu.session import CpuSession
from app.runtime.packing import PackedLayout
from app.tasks import task_of
from app.window import Window
from tests.support.reference import reference_logits
from tests.support.tiny import fp16_graph, fp32_graph, tiny_model
from training.encoders import UnsupportedModelError, family_of_config, load_checkpoint
from training.export.ranges import observe

ROUTES = ("classify", "ner", "fill-mask")
MIXES = [(1,), (3, 7), (64, 1, 1), (5,) * 32, (64,) * 3, tuple(range(1, 65)), (2, 64, 2, 33, 1)]
SHAPE = {
    "vocab_size": 320,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 70,
    "pad_token_id": 1,
}
ENCODERS = [
    (XLMRobertaForMaskedLM, XLMRobertaConfig(**SHAPE)),
    (CamembertForTokenClassification, CamembertConfig(**SHAPE, num_labels=5)),
    (RobertaForSequenceClassification, RobertaConfig(**SHAPE, num_labels=1)),
    (BertForSequenceClassification, BertConfig(**SHAPE | {"pad_token_id": 0}, num_labels=3)),
    (BertForTokenClassification, BertConfig(**SHAPE | {"pad_token_id": 0}, num_labels=4)),
    (BertForMaskedLM, BertConfig(**SHAPE | {"pad_token_id": 0})),
]


def make_windows(lengths, all_rows, seed=0, types=False):
    generator = np.random.default_rng(seed)
    windows = []
    for length in lengths:
        rows = np.arange(length) if all_rows else np.zeros(1, np.int64)
        kinds = np.repeat([0, 1], [length // 2, length - length // 2]) if types else None
        windows.append(Window(generator.integers(5, 300, length), rows, kinds))
    return windows


@pytest.fixture(scope="session")
def graphs(tiny_models):
    """Open every tiny bundle in both precisions."""
    bundles = {r: read_bundle(tiny_models / f"tiny-{r}" / "1", name=f"tiny-{r}", version=1) for r in ROUTES}
    return {(r, p): CpuSession(bundle, p) for r, bundle in bundles.items() for p in ("fp32", "int8")}


@pytest.mark.parametrize("lengths", MIXES, ids=str)
@pytest.mark.parametrize("route", ROUTES)
def test_packed_graph_matches_torch(route, lengths, graphs, tiny_checkpoints):
    model = load_checkpoint(str(tiny_checkpoints[route]))
    windows = make_windows(lengths, all_rows=route != "classify")
    for window, answer in zip(windows, graphs[route, "fp32"].run(windows), strict=True):
        expected = reference_logits(model, task_of(model.config.to_dict()).name, window)
        np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_the_last_layer_ends_on_the_rows_that_the_head_reads(tiny_checkpoints):
    graph = fp32_graph(load_checkpoint(str(tiny_checkpoints["classify"])))
    linears = {node.input[1]: node for node in graph.graph.node if node.op_type == "Gemm"}
    read = [linears[f"layers.{layer}.{name}.weight"].input[0] for layer in (0, 1) for name in ("qkv", "intermediate")]
    feed = PackedLayout([value.name for value in graph.graph.input], 2).feed(make_windows([5, 4], all_rows=False))
    assert [len(values) for _, values in observe(graph, read, [feed])] == [9, 9, 9, 2]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_single_window_is_answered_by_a_branch_of_its_own_with_the_bits_of_the_grid(route, precision, graphs):
    session = graphs[route, precision]
    names = session.layout.builders
    for length in (1, 2, 17, 64):
        windows = make_windows([length], all_rows=route != "classify", seed=length)
        apart = session.layout.feed(windows)
        grid = PackedLayout(names.keys() - {"single_window"}, session.layout.position_offset).feed(windows)
        assert apart["attention_mask"].size == 1  # the grid could not be answered from this
        answers = [session.compute(feed) for feed in (apart, grid | {"single_window": np.array(False)})]
        np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("route", ROUTES)
def test_an_answer_does_not_depend_on_its_batch(route, precision, graphs):
    """In 300 random batches, a window's logits stay within 1e-4 of what they are by itself."""
    graph, generator = graphs[route, precision], np.random.default_rng(7)
    (window,) = make_windows([17], all_rows=route != "classify")
    (by_itself,) = graph.run([window])
    for seed in range(300):
        others = make_windows(generator.integers(1, 65, generator.integers(1, 9)), all_rows=False, seed=seed)
        place = int(generator.integers(0, len(others) + 1))
        answer = graph.run([*others[:place], window, *others[place:]])[place]
        np.testing.assert_allclose(answer, by_itself, atol=1e-4)


@pytest.mark.parametrize(("model_class", "config"), ENCODERS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_supported_encoder_matches_torch(model_class, config, tmp_path):
    torch.manual_seed(1)
    config.architectures = [model_class.__name__]
    model = model_class(config).eval()
    session, task = open_graph(fp32_graph(model), config, tmp_path), task_of(config.to_dict()).name
    for lengths in ((1,), (3, 60, 7), (5,) * 8):
        windows = make_windows(lengths, task != "text-classification", types=config.type_vocab_size > 1)
        for window, answer in zip(windows, session.run(windows), strict=True):
            np.testing.assert_allclose(answer, reference_logits(model, task, window), atol=1e-4)


def open_graph(graph, config, folder):
    onnx.save(graph, folder / "model.fp32.onnx")
    manifest = Manifest(
        name="x",
        version=1,
        task=task_of(config.to_dict()).name,
        labels=list(config.id2label.values()),
        layout="packed",
        max_length=64,
        position_offset=family_of_config(config).position_offset(config),
        graphs={"fp32": Graph(file="model.fp32.onnx", tolerance=1e-3)},
    )
    return CpuSession(Bundle(folder, manifest, {}), "fp32")


def test_fp16_graph_is_written_for_cuda():
    """No CPU can run it: its form is checked here, its answers by the service's probes on CUDA."""
    graph = fp16_graph(tiny_model("text-classification", ["a", "b"]))
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("PackedMultiHeadAttention") == 2
    assert {i.name for i in graph.graph.input} == {
        "input_ids",
        "position_ids",
        "head_rows",
        "token_offset",
        "cumulative_lengths",
    }
    weights = {t.name: t.data_type for t in graph.graph.initializer}
    assert weights["layers.0.qkv.weight"] == onnx.TensorProto.FLOAT16
    assert graph.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_other_architectures_are_refused_by_name():
    config = GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2)
    with pytest.raises(UnsupportedModelError, match="GPT2ForSequenceClassification is not an encoder"):
        fp32_graph(GPT2ForSequenceClassification(config))
