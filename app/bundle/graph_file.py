"""A graph is looked through before onnxruntime opens it: what it is made of, and which files it would read.

What it is made of also says its precision, whatever its name (`app.bundle.graph_kind`).

The reader knows only the fields that matter, goes over the rest, and is bounded in fields, nodes and depth.
Source of the field numbers: onnx.proto of ONNX 1.19.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from app.bundle.files import check_no_pointer
from app.bundle.hub_cache import is_own_blob
from app.bundle.manifest import BundleError

DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
# What the optimizer of onnxruntime names in a graph as well, though it uses none of it.
NAMED_DOMAINS = ("ai.onnx.", "com.microsoft.", "com.ms.internal.", "org.pytorch.aten")
# Operators that may run for ever, or that read a file of their own.
REFUSED_OPERATORS = {"Loop", "Scan", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch", "EPContext"}
MOST_BYTES = 2**31  # of a graph file: protobuf's limit
MOST_FIELDS, MOST_NODES, MOST_DEPTH = 2_000_000, 100_000, 8
MOST_TEXT = 4096  # bytes of a name that is read

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MODEL = {"graph": 7, "opset": 8, "training": 20, "function": 25}
GRAPH = {"node": 1, "initializer": 5, "input": 11, "output": 12, "sparse": 15}
NODE = {"operator": 4, "attribute": 5, "domain": 7}
ATTRIBUTE = {"tensor": 5, "graph": 6, "tensors": 10, "graphs": 11, "sparse": 22, "sparses": 23}
TENSOR = {"type": 2, "raw": 9, "external": 13}
OUTPUT = {"name": 1, "type": 2}
VALUE_NAME = 1  # of an input
TYPE_TENSOR, TENSOR_SHAPE, SHAPE_DIMENSION, DIMENSION_VALUE = 1, 2, 1, 1  # on the way to an output's columns
ENTRY = {"key": 1, "value": 2}
SPARSE = {"values": 1, "indices": 2}
OPSET_DOMAIN = 1


class Part(NamedTuple):
    """A field whose content lies at `start:end` of the file."""

    number: int
    start: int
    end: int


@dataclass
class GraphFacts:
    """What a graph is made of: its operators, the bytes of weights by ONNX's number of their type, and its outputs.

    `outputs` has the number of columns of each output by name, None where the graph does not state it; `ranks` has the
    number of its dimensions. `inputs` are the names of what it is fed.
    """

    operators: set[str] = field(default_factory=set)
    weights: Counter[int] = field(default_factory=Counter)
    outputs: dict[str, int | None] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)


class GraphReader:
    """Reads one file's protobuf wire format. Raises `BundleError` for what is malformed or beyond a bound."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._fields = self._nodes = 0
        self.size = os.fstat(stream.fileno()).st_size
        self.external: list[dict[str, str]] = []  # of each tensor whose data is in another file
        self.facts = GraphFacts()

    def refuse(self, reason: str) -> BundleError:
        return BundleError(f"{self._name} {reason}")

    def parts(self, start: int, end: int) -> Iterator[Part]:
        """Yield the fields of a message that hold bytes: texts and messages."""
        at = start
        while at < end:
            self._stream.seek(at)
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise self.refuse(f"has more than {MOST_FIELDS} fields")
            tag, begins = self._varint(at)
            number, kind = tag >> 3, tag & 7
            if kind == VARINT:
                at = self._varint(begins)[1]
            elif kind in (FIXED64, FIXED32):
                at = begins + (8 if kind == FIXED64 else 4)
            elif kind == BYTES:
                length, begins = self._varint(begins)
                at = begins + length
                if at <= end:
                    yield Part(number, begins, at)
            else:
                raise self.refuse("is not an ONNX graph: it has a field of no known kind")
            if at > end:
                raise self.refuse("is not an ONNX graph: a field is longer than what holds it")

    def numbers(self, start: int, end: int) -> dict[int, int]:
        """Return the fields of a message that are numbers."""
        found, at = {}, start
        while at < end:
            self._stream.seek(at)
            tag, begins = self._varint(at)
            value, at = self._varint(begins)
            kind = tag & 7
            if kind == VARINT:
                found[tag >> 3] = value
            elif kind == BYTES:
                at += value
            else:
                at = begins + (8 if kind == FIXED64 else 4)
        return found

    def text(self, part: Part) -> str:
        if part.end - part.start > MOST_TEXT:
            raise self.refuse(f"has a name of more than {MOST_TEXT} bytes")
        self._stream.seek(part.start)
        return self._stream.read(part.end - part.start).decode("utf-8", "replace")

    def _varint(self, at: int) -> tuple[int, int]:
        """Return the number at the stream's place, and the offset after it."""
        value = shift = 0
        while True:
            byte = self._stream.read(1)
            if not byte or shift > 63:
                raise self.refuse("is not an ONNX graph: it ends in a number")
            value |= (byte[0] & 127) << shift
            at, shift = at + 1, shift + 7
            if byte[0] < 128:
                return value, at

    # --- What a model holds ------------------------------------------------------------------------------

    def model(self) -> None:
        has_graph = False
        for part in self.parts(0, self.size):
            if part.number == MODEL["graph"]:
                has_graph = True
                self.graph(part, 0)
            elif part.number == MODEL["opset"]:
                for inner in self.parts(*part[1:]):
                    if inner.number == OPSET_DOMAIN:
                        self._check_domain(self.text(inner), NAMED_DOMAINS)
            elif part.number in (MODEL["function"], MODEL["training"]):
                raise self.refuse("has functions or training steps of its own, which are not run here")
        if not has_graph:
            raise self.refuse("is not an ONNX graph: it has none")

    def graph(self, whole: Part, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise self.refuse(f"has graphs within graphs, more than {MOST_DEPTH} deep")
        for part in self.parts(*whole[1:]):
            if part.number == GRAPH["node"]:
                self.node(part, depth)
            elif part.number == GRAPH["initializer"]:
                self.tensor(part)
            elif part.number == GRAPH["sparse"]:
                self.sparse(part)
            elif part.number == GRAPH["output"] and depth == 0:
                self.output(part)
            elif part.number == GRAPH["input"] and depth == 0:
                self.facts.inputs |= {self.text(each) for each in self.parts(*part[1:]) if each.number == VALUE_NAME}

    def output(self, whole: Part) -> None:
        """Note the number of columns of an output: its last dimension."""
        name, columns, rank = "", None, 0
        for part in self.parts(*whole[1:]):
            if part.number == OUTPUT["name"]:
                name = self.text(part)
            elif part.number == OUTPUT["type"]:
                dimensions = [
                    dimension
                    for tensor in self.parts(*part[1:])
                    if tensor.number == TYPE_TENSOR
                    for shape in self.parts(*tensor[1:])
                    if shape.number == TENSOR_SHAPE
                    for dimension in self.parts(*shape[1:])
                    if dimension.number == SHAPE_DIMENSION
                ]
                rank = len(dimensions)
                columns = self.numbers(*dimensions[-1][1:]).get(DIMENSION_VALUE) if dimensions else None
        self.facts.outputs[name], self.facts.ranks[name] = columns, rank

    def node(self, whole: Part, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self.refuse(f"has more than {MOST_NODES} nodes")
        for part in self.parts(*whole[1:]):
            if part.number == NODE["operator"]:
                self.facts.operators.add(operator := self.text(part))
                if operator in REFUSED_OPERATORS:
                    raise self.refuse(
                        f"has an operator {operator}, which is not run here: it need not end, or reads files"
                    )
            if part.number == NODE["domain"]:
                self._check_domain(self.text(part))
            elif part.number == NODE["attribute"]:
                self.attribute(part, depth)

    def attribute(self, whole: Part, depth: int) -> None:
        for part in self.parts(*whole[1:]):
            if part.number in (ATTRIBUTE["graph"], ATTRIBUTE["graphs"]):
                self.graph(part, depth + 1)
            elif part.number in (ATTRIBUTE["tensor"], ATTRIBUTE["tensors"]):
                self.tensor(part)
            elif part.number in (ATTRIBUTE["sparse"], ATTRIBUTE["sparses"]):
                self.sparse(part)

    def sparse(self, whole: Part) -> None:
        for part in self.parts(*whole[1:]):
            if part.number in SPARSE.values():
                self.tensor(part)

    def tensor(self, whole: Part) -> None:
        entries: dict[str, str] = {}
        size = 0
        for part in self.parts(*whole[1:]):
            if part.number == TENSOR["raw"]:
                size += part.end - part.start
            elif part.number == TENSOR["external"]:
                texts = {p.number: self.text(p) for p in self.parts(*part[1:]) if p.number in ENTRY.values()}
                entries[texts.get(ENTRY["key"], "")] = texts.get(ENTRY["value"], "")
        if entries:
            self.external.append(entries)
            size += int(length) if (length := entries.get("length", "")).isdecimal() and len(length) < 20 else 0
        self.facts.weights[self.numbers(*whole[1:]).get(TENSOR["type"], 0)] += size

    def _check_domain(self, domain: str, named: tuple[str, ...] = ()) -> None:
        """Refuse operators of an unknown domain; one with a beginning in `named` is only named."""
        if domain not in DOMAINS and not (named and domain.startswith(named)):
            raise self.refuse(f"needs operators of {domain[:80]!r}, which is not one of ONNX's or onnxruntime's own")


def check_graph(folder: Path, file: str, listed: Mapping[str, str] | None) -> GraphFacts:
    """Look through a graph of a bundle, and return what it is made of.

    `listed` are the files that the manifest has hashes of; None: no manifest.

    Raises `BundleError` for operators that are not known or not bounded, and for data outside of the folder, through
    a link, or in a file that the manifest does not list.
    """
    if not file.endswith(".onnx"):
        raise BundleError(f"{file} is not a name of an ONNX graph; it must end in .onnx")
    check_no_pointer(folder / file)
    with (folder / file).open("rb") as stream:
        reader = GraphReader(stream, file)
        if reader.size > MOST_BYTES:
            raise BundleError(f"{file} is larger than {MOST_BYTES} bytes")
        reader.model()
    for entries in reader.external:
        check_external(folder, file, entries, listed)
    return reader.facts


def check_external(folder: Path, file: str, entries: Mapping[str, str], listed: Mapping[str, str] | None) -> None:
    """Check where a tensor's data lies. Source: docs/ExternalData.md of ONNX; onnxruntime takes it from the graph."""
    location = entries.get("location", "")
    beside = (Path(file).parent / location).as_posix()
    data = folder / beside
    is_linked = has_link(folder, beside) and not is_own_blob(folder, beside)
    if not location or Path(location).is_absolute() or ".." in Path(location).parts or is_linked:
        raise BundleError(f"{file} has external data outside of the bundle, or through a link: {location[:80]!r}")
    if not data.is_file():
        raise BundleError(f"{file} has external data in {location[:80]!r}, which is missing")
    if listed is not None and beside not in listed:
        raise BundleError(f"{file} has external data in {location[:80]!r}, of which the manifest has no sha256")
    check_no_pointer(data)
    offset, length = (entries.get(key, "0") for key in ("offset", "length"))
    if not all(number.isascii() and number.isdecimal() and len(number) < 20 for number in (offset, length)):
        raise BundleError(f"{file} has external data at no place in {location[:80]!r}")
    if int(offset) + int(length) > data.stat().st_size:
        raise BundleError(f"{file} has external data beyond the end of {location[:80]!r}")


def has_link(folder: Path, file: str) -> bool:
    """Whether any part of a path under `folder` is a link."""
    parts = Path(file).parts
    return any(folder.joinpath(*parts[: count + 1]).is_symlink() for count in range(len(parts)))
