"""Graphs that others have exported: their inputs are fed as they are declared, or refused by name."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.runtime.cpu.session import CpuSession
from app.runtime.padding import Input, PaddedLayout, run_by_length
from app.runtime.session import SessionError, choose_precision
from app.serving.sources import read_folder
from app.window import Window
from tests.app.builders import TABLE, make_graph, make_manifest, write_hub_folder


def windows(*lengths):
    return [Window(np.arange(5, 5 + length), np.zeros(1, np.int64)) for length in lengths]


def inputs(*names, **types):
    return {name: Input() for name in names} | {name: Input(f"tensor({kind})") for name, kind in types.items()}


def test_inputs_are_of_the_types_that_a_graph_declares():
    layout = PaddedLayout(inputs(input_ids="int32", attention_mask="float", token_type_ids="bool"), 9)
    feed = layout.feed(windows(3, 1))
    assert {name: array.dtype.name for name, array in feed.items()} == {
        "input_ids": "int32",
        "attention_mask": "float32",
        "token_type_ids": "bool",
    }
    assert feed["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(("offset", "expected"), [(2, [[2, 3, 4], [2, 1, 1]]), (0, [[0, 1, 2], [0, 0, 0]])])
def test_positions_count_as_the_family_does(offset, expected):
    layout = PaddedLayout(inputs("input_ids", "attention_mask", "position_ids"), 1, offset)
    assert layout.feed(windows(3, 1))["position_ids"].tolist() == expected


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (inputs("input_ids", "pixels", "bbox"), "inputs that no padded batch provides: bbox, pixels"),
        (inputs("attention_mask"), "no input input_ids"),
        (inputs(input_ids="string"), r"input input_ids is a tensor\(string\)"),
        ({"input_ids": Input(shape=("batch", 128))}, "input input_ids has a fixed size of 128; export it with dynamic"),
        ({"input_ids": Input(shape=(1, 128))}, "fixed size of 1 x 128"),
    ],
    ids=str,
)
def test_an_input_that_cannot_be_fed_is_refused_by_name(given, reason):
    with pytest.raises(ValueError, match=reason):
        PaddedLayout(given, 9)


def test_windows_of_one_length_run_together_and_answer_in_order():
    batches = []

    def run(some):
        batches.append(len(some))
        return [window.input_ids[:, None].astype(np.float32) for window in some]

    given = windows(3, 1, 3, 2, 1)
    assert [len(output) for output in run_by_length(run, given)] == [3, 1, 3, 2, 1]
    assert sorted(batches) == [1, 2, 2]


def mean_graph(*names):
    """Answers the mean of the tokens' rows, padding included; a mask is read and ignored."""
    tensor = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("ReduceMean", ["tokens", "one"], ["logits"], keepdims=0),
        helper.make_node("Identity", ["tokens"], ["hidden"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [tensor(name, TensorProto.INT64, ["B", "S"]) for name in names],
        [
            tensor("hidden", TensorProto.FLOAT, [None, None, None]),
            tensor("logits", TensorProto.FLOAT, ["B", 3]),
        ],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1]), "one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def open_graph(model, folder, tokenizer):
    write_hub_folder(folder, tokenizer)
    onnx.save(model, folder / "model.onnx")
    return CpuSession(read_folder(folder, name="toy", version=1), "fp32")


def test_a_graph_without_a_mask_sees_no_padding(tmp_path, byte_level):
    """Its logits are read, wherever they stand among its outputs."""
    session = open_graph(mean_graph("input_ids"), tmp_path / "toy", byte_level)
    given = windows(2, 7, 2)
    alone = [session.run([window])[0] for window in given]
    np.testing.assert_allclose(session.run(given), alone, atol=1e-6)
    np.testing.assert_allclose(alone[1][0], TABLE[given[1].input_ids].mean(axis=0), atol=1e-6)
    assert session.computed_tokens(3, 11, 7) == 11


def test_an_unknown_input_keeps_a_model_from_being_opened(tmp_path, byte_level):
    with pytest.raises(SessionError, match="no padded batch provides: bbox"):
        open_graph(mean_graph("input_ids", "bbox"), tmp_path / "toy", byte_level)


# --- Which of several graphs ------------------------------------------------------------------------------


def bundle_of(layout="padded", **graphs):
    class Any:
        manifest = make_manifest(layout=layout, graphs={p: make_graph(depends_on_batch=d) for p, d in graphs.items()})

    return Any()


@pytest.mark.parametrize(
    ("graphs", "wanted", "chosen"),
    [
        ({"int8": True, "fp32": False}, None, "fp32"),
        ({"int8": True, "fp32": False}, "int8", "int8"),
        ({"int8": False, "fp32": False}, None, "int8"),
        ({"int8": False, "fp32": False}, "fp32", "fp32"),
        ({"int8": False, "fp32": False}, "fp16", "int8"),
        ({"int8": True}, None, "int8"),
        ({"int4": False, "int8": True}, None, "int4"),
        ({"fp16": False}, None, "fp16"),
        ({"fp16": False, "int4": False}, None, "int4"),
    ],
    ids=str,
)
def test_an_answer_that_depends_on_the_batch_is_given_only_where_nothing_else_is_there(graphs, wanted, chosen):
    assert choose_precision(bundle_of(**graphs), "cpu", wanted) == chosen
    if chosen in ("fp32", "int8") and "fp16" not in graphs:
        return
    with pytest.raises(SessionError, match="runs on cpu"):
        choose_precision(bundle_of("packed", fp16=False), "cpu")
