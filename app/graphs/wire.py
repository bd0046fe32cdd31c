"""Protobuf's wire format, written: enough of ONNX to add nodes to a graph that is not parsed.

Protobuf joins messages by joining their bytes: repeated fields are appended, and messages in a field are joined in
turn. So the bytes of a model with a few nodes, put behind those of another model, add the nodes to its graph, in any
size and without the package onnx. Source of the field numbers: onnx.proto of ONNX 1.19.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VARINT, BYTES, FIXED32 = 0, 2, 5
FLOAT, INT64 = 1, 7  # of TensorProto.DataType
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_TENSOR, ATTRIBUTE_INTS = 1, 2, 4, 7  # of AttributeProto.AttributeType

Attribute = float | int | NDArray[np.float32] | Sequence[int]


def varint(value: int) -> bytes:
    """Return a number of at most 64 bits, as 7 bits a byte, the lowest first."""
    value &= 2**64 - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def number(field: int, value: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(value)


def content(field: int, value: bytes | str) -> bytes:
    """Return a field of a text, of bytes or of a message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | BYTES) + varint(len(data)) + data


def tensor(values: NDArray[np.generic], name: str = "") -> bytes:
    """Return a TensorProto of float32 or int64 values."""
    kind, dtype = (FLOAT, "<f4") if values.dtype == np.float32 else (INT64, "<i8")
    dimensions = b"".join(number(1, size) for size in values.shape)
    raw = np.ascontiguousarray(values, dtype).tobytes()
    return dimensions + number(2, kind) + (content(8, name) if name else b"") + content(9, raw)


def attribute(name: str, value: Attribute) -> bytes:
    """Return an AttributeProto."""
    if isinstance(value, int):
        data, kind = number(3, value), ATTRIBUTE_INT
    elif isinstance(value, float):
        data, kind = varint(2 << 3 | FIXED32) + struct.pack("<f", value), ATTRIBUTE_FLOAT
    elif isinstance(value, np.ndarray):
        data, kind = content(5, tensor(value)), ATTRIBUTE_TENSOR
    else:
        data, kind = b"".join(number(8, each) for each in value), ATTRIBUTE_INTS
    return content(1, name) + data + number(20, kind)


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> bytes:
    """Return a NodeProto of ONNX's own operators, named as its output."""
    named = b"".join(content(1, name) for name in inputs) + content(2, output) + content(3, output)
    return named + content(4, operator) + b"".join(content(5, attribute(*each)) for each in attributes.items())


def output(name: str, shape: Sequence[str | int]) -> bytes:
    """Return a ValueInfoProto of float32 values; a dimension is a number or the name of one that varies."""
    sizes = [number(1, size) if isinstance(size, int) else content(2, size) for size in shape]
    dimensions = b"".join(content(1, size) for size in sizes)
    return content(1, name) + content(2, content(1, number(1, FLOAT) + content(2, dimensions)))


def addition(nodes: Sequence[bytes], weights: Sequence[bytes], outputs: Sequence[bytes]) -> bytes:
    """Return a ModelProto that adds to the graph before it: its bytes belong behind those of that."""
    parts = [(1, nodes), (5, weights), (12, outputs)]
    return content(7, b"".join(content(field, each) for field, all_of in parts for each in all_of))
