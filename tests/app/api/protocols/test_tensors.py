"""Tensors of the Open Inference Protocol: texts that come in, as JSON and in binary, and columns that go out."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.protocols.tensors import JSON, InputTensor, Kind, kind_of, output, packed
from app.errors import InvalidRequestError
from app.tasks.classify import LabelScore


def tensor(shape, data=None, **parameters):
    return InputTensor(name="text", shape=shape, datatype="BYTES", data=data, parameters=parameters or None)


@pytest.mark.parametrize(
    ("shape", "data"),
    [([2], ["a", "b"]), ([2, 1], ["a", "b"]), ([2, 1], [["a"], ["b"]]), ([1, 2, 1], [[["a"], ["b"]]])],
)
def test_texts_are_read_row_by_row(shape, data):
    assert tensor(shape, data).texts(None) == ["a", "b"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_in_binary_come_back_as_they_went(texts):
    binary = packed(texts)
    assert tensor([len(texts)], binary_data_size=len(binary)).texts(binary) == texts


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda: tensor([3], ["a", "b"]).texts(None), "has 2 elements, and a shape of 3"),
        (lambda: tensor([2], ["a", 1]).texts(None), "texts alone"),
        (lambda: tensor([1], [["a"]]).texts(None), "texts alone"),
        (lambda: tensor([1]).texts(None), "either data or"),
        (lambda: tensor([1], ["a"]).texts(packed(["a"])), "either data or"),
        (lambda: tensor([1]).texts(packed(["ab"])[:-1]), "ends within an element"),
        (lambda: tensor([1]).texts(b"\x01\x00"), "ends within an element"),
        (lambda: tensor([2]).texts(packed(["a"]) + struct.pack("<I", 1) + b"\xff"), "number 1, that is not UTF-8"),
    ],
)
def test_what_is_no_tensor_of_texts_is_refused(read, reason):
    with pytest.raises(InvalidRequestError, match=reason):
        read()


def test_columns_are_what_their_types_are():
    assert [kind_of(each) for each in (str, float, int, bool, list[float])] == [
        *(Kind("BYTES"), Kind("FP32"), Kind("INT64"), Kind("BOOL"), Kind("FP32", (-1, -1)))
    ]
    assert kind_of(str | None) == Kind("BYTES")
    assert {kind_of(each) for each in (Any, list[LabelScore], list[list[float]], dict, str | int)} == {JSON}


def test_what_is_absent_is_empty_or_not_a_number():
    described, _ = output("label", Kind("BYTES"), ["good", None], is_binary=False)
    assert described == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["good", ""]}
    assert output("score", Kind("FP32"), [0.5, None], is_binary=False).description["data"] == [0.5, None]
    binary = output("score", Kind("FP32"), [0.5, None], is_binary=True).binary
    assert np.frombuffer(binary, "<f4")[0] == 0.5
    assert math.isnan(np.frombuffer(binary, "<f4")[1])


def test_vectors_are_a_matrix_where_they_are_alike_in_length():
    vectors = Kind("FP32", (-1, -1))
    described, binary = output("vector", vectors, [[1.0, 2.0], np.array([3.0, 4.0])], is_binary=True)
    assert (described["shape"], described["parameters"]) == ([2, 2], {"binary_data_size": 16})
    assert np.frombuffer(binary, "<f4").tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("cells", [[[1.0], [2.0, 3.0]], [[[1.0], [2.0]]]], ids=["other lengths", "of tokens"])
def test_what_is_no_matrix_is_json(cells):
    described, _ = output("vector", Kind("FP32", (-1, -1)), cells, is_binary=False)
    assert (described["datatype"], described["shape"]) == ("BYTES", [len(cells)])
    assert [json.loads(each) for each in described["data"]] == cells
