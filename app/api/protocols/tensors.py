"""Tensors of the Open Inference Protocol: texts that come as BYTES, and columns of an answer that go as what they are.

Source: github.com/kserve/open-inference-protocol, its REST specification and the binary tensor data extension.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import numpy as np
from pydantic import Field, JsonValue
from pydantic_core import to_json

from app.errors import InvalidRequestError, quote
from app.tasks.parameters import Strict
from app.window import Floats

Datatype = Literal["BYTES", "BOOL", "INT64", "FP32"]
Name = Annotated[str, Field(min_length=1, max_length=128)]

LENGTH = struct.Struct("<I")  # before each element of BYTES
DTYPES: dict[Datatype, str] = {"BOOL": "?", "INT64": "<i8", "FP32": "<f4"}
DATATYPES: dict[Any, Datatype] = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP32"}
ABSENT: dict[Datatype, Any] = {"BYTES": "", "BOOL": False, "INT64": -1, "FP32": None}  # in place of None


class TensorParameters(Strict):
    """What is said of an input."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Bytes of its data after the JSON, in place of `data`."
    )
    content_type: Literal["str"] | None = Field(None, description="MLServer's word for texts, which all inputs are.")


class InputTensor(Strict):
    """Texts, one for each input of the task. `data` may be nested as `shape` says."""

    name: Name
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=8, fail_fast=True)]
    datatype: Literal["BYTES"]
    parameters: TensorParameters | None = None
    data: Annotated[list[JsonValue], Field(fail_fast=True)] | None = None

    @property
    def binary_size(self) -> int | None:
        return None if self.parameters is None else self.parameters.binary_data_size

    def texts(self, binary: bytes | None) -> list[str]:
        """Return the elements in order; `binary` has them where they follow the JSON.

        Raises `InvalidRequestError` where they are not as many texts in UTF-8 as `shape` says.
        """
        if (binary is None) == (self.data is None):
            self.refuse("needs either data or parameters.binary_data_size")
        found = self.flattened(self.data or []) if binary is None else self.split(binary)
        if len(found) != math.prod(self.shape):
            self.refuse(f"has {len(found)} elements, and a shape of {math.prod(self.shape)}")
        return found

    def flattened(self, data: Sequence[JsonValue]) -> list[str]:
        """Return the texts in lists of lists, row by row."""
        for _ in self.shape[1:]:
            data = [each for part in data for each in (part if isinstance(part, list) else [part])]
        texts = [each for each in data if isinstance(each, str)]
        if len(texts) < len(data):
            self.refuse("must have texts alone")
        return texts

    def split(self, binary: bytes) -> list[str]:
        """Return the texts in bytes, before each of which its length in bytes stands, of 4 bytes, the lowest first."""
        texts, at = [], 0
        while at < len(binary):
            begin = at + LENGTH.size
            end = begin + LENGTH.unpack_from(binary, at)[0] if begin <= len(binary) else begin
            if end > len(binary):
                self.refuse("ends within an element; each is its length in 4 bytes, then the bytes")
            try:
                texts.append(str(binary[begin:end], "utf-8"))
            except UnicodeDecodeError:
                self.refuse(f"has an element, the one of number {len(texts)}, that is not UTF-8")
            at = end
        return texts

    def refuse(self, reason: str) -> None:
        raise InvalidRequestError(f"inputs: {quote(self.name)} {reason}")


class Kind(NamedTuple):
    """What a column of an answer is as a tensor. `is_json`: an element is JSON. `shape`: -1 stands for any number."""

    datatype: Datatype
    shape: tuple[int, ...] = (-1,)
    is_json: bool = False


JSON = Kind("BYTES", is_json=True)
VECTORS = Kind("FP32", (-1, -1))


def kind_of(column: Any) -> Kind:
    """Return what a column of some type is: texts, numbers and vectors as themselves, everything else as JSON."""
    if get_origin(column) in (Union, UnionType):
        (column, *others) = [each for each in get_args(column) if each is not NoneType]
        return JSON if others else kind_of(column)
    if column in DATATYPES:
        return Kind(DATATYPES[column])
    return VECTORS if column == list[float] else JSON


class OutputTensor(NamedTuple):
    """One column of the answers: its description in the JSON of an answer, and what follows that JSON, if it does."""

    description: dict[str, Any]
    binary: bytes | None


def output(name: str, kind: Kind, cells: Sequence[Any], *, is_binary: bool) -> OutputTensor:
    """Return the tensor of a column. What is no vector, or of another length than others, is JSON, whatever `kind`
    says: some models answer a vector for each token."""
    matrix = matrix_of(cells) if kind == VECTORS else None
    if kind == VECTORS and matrix is None:
        kind = JSON
    values: list[Any] = elements(kind, cells) if matrix is None else matrix.ravel().tolist()
    shape = [len(cells)] if matrix is None else list(matrix.shape)
    description: dict[str, Any] = {"name": name, "datatype": kind.datatype, "shape": shape}
    if not is_binary:
        return OutputTensor(description | {"data": values}, None)
    binary = packed(values) if kind.datatype == "BYTES" else numbers(values, kind.datatype)
    return OutputTensor(description | {"parameters": {"binary_data_size": len(binary)}}, binary)


def matrix_of(cells: Sequence[Any]) -> Floats | None:
    """Return vectors as (vectors, width); None where they are not vectors of one length."""
    try:
        matrix = np.array(cells, np.float32)
    except (TypeError, ValueError):
        return None
    return matrix if matrix.ndim == 2 else None


def elements(kind: Kind, cells: Sequence[Any]) -> list[Any]:
    """Return the elements of a column."""
    if kind.is_json:
        return [to_json(cell).decode() for cell in cells]
    absent = ABSENT[kind.datatype]
    return [absent if cell is None else cell for cell in cells]


def packed(texts: Sequence[str]) -> bytes:
    """Return texts as the bytes of a tensor of BYTES."""
    encoded = [text.encode() for text in texts]
    return b"".join(part for text in encoded for part in (LENGTH.pack(len(text)), text))


def numbers(values: Sequence[Any], datatype: Datatype) -> bytes:
    """Return numbers as the bytes of a tensor; None is NaN."""
    return np.array(values, DTYPES[datatype]).tobytes()
