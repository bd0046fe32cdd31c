"""Which files of a repository are needed, and what is served of it: known from the names of its files alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from app.bundle import MANIFEST
from app.bundle.graph_kind import in_order
from app.bundle.sentence_modules import is_sentence_model
from app.hub.devices import Device
from app.hub.errors import HubError

Kind = Literal["bundle", "safetensors", "onnx"]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
SMALL = (".json", ".txt", ".model")  # config, tokenizers, modules of sentence-transformers
SMALL_FOLDER = re.compile(r"(onnx|\d+_[A-Za-z]+)?")
MODULE = re.compile(r"(\d+_[A-Za-z]+)/model\.safetensors")  # a dense layer of sentence-transformers
PICKLED_MODULE = re.compile(r"(\d+_[A-Za-z]+)/pytorch_model\.bin")
UNNEEDED = re.compile(r".*\.bin\.index\.json|trainer_state\.json|all_results\.json|(train|eval)_results\.json")
OTHER_FORMATS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf")
# Of the names of graphs, how far each is from the trained model: fp32, fp16, int8 and less.
ROUNDED = ((re.compile(r"int8|quant|avx|arm64"), 2), (re.compile(r"q4|bnb4|4bit"), 3), (re.compile(r"fp16|float16"), 1))


@dataclass(frozen=True)
class Choice:
    """What is served of a repository, and the files that this needs; `main` is what answers."""

    kind: Kind
    main: str
    files: tuple[str, ...]


def choose(names: Collection[str], *, prefers_export: bool, device: Device, what: str) -> Choice:
    """Choose among the files of a repository or folder, called `what` in errors.

    A bundle goes first. Of safetensors and ONNX, `prefers_export` says which. Raises `HubError` where there is neither.
    """
    if MANIFEST in names and "tokenizer.json" in names:
        return Choice("bundle", MANIFEST, tuple(name for name in names if is_of_bundle(name)))
    if "config.json" not in names:
        raise HubError(without_config(names, what))
    if modules := sorted(name for name in names if is_pickled_module(name, names)):
        raise HubError(pickled_module(modules[0], what))
    small = [name for name in names if is_small(name) or MODULE.fullmatch(name)]
    weights, graph = weights_in(names), graph_in(names, device)
    if weights and (prefers_export or graph is None):
        return Choice("safetensors", weights[0], (*small, *weights))
    if graph is not None:
        return Choice("onnx", graph, (*small, graph, *data_of(graph, names)))
    raise HubError(without_weights(names, what))


def is_of_bundle(name: str) -> bool:
    return name == "README.md" or name.endswith((*SMALL, ".onnx")) or is_data(name)


def is_small(name: str) -> bool:
    """Whether a file describes the model or its tokenizer."""
    path = PurePosixPath(name)
    folder = "" if path.parent == PurePosixPath(".") else str(path.parent)
    return path.suffix in SMALL and SMALL_FOLDER.fullmatch(folder) is not None and not UNNEEDED.fullmatch(path.name)


def is_pickled_module(name: str, names: Collection[str]) -> bool:
    """Whether a file has the weights of a module of sentence-transformers, and none are there as safetensors."""
    found = PICKLED_MODULE.fullmatch(name)
    return found is not None and is_sentence_model(names) and f"{found[1]}/model.safetensors" not in names


def weights_in(names: Collection[str]) -> list[str]:
    """Return the files of the model's weights as safetensors; nothing where they are not whole."""
    if WEIGHTS in names:
        return [WEIGHTS]
    shards = sorted(name for name in names if SHARD.fullmatch(name))
    return [INDEX, *shards] if shards and INDEX in names else []


def graph_in(names: Iterable[str], device: Device) -> str | None:
    """Return the graph that answers as the trained model does, as nearly as there is one."""
    graphs = [name for name in names if name.endswith(".onnx") and str(PurePosixPath(name).parent) in (".", "onnx")]
    named = [name for name in graphs if PurePosixPath(name).name.startswith("model")]
    if not named:
        return graphs[0] if len(graphs) == 1 else None
    best = 1 if device == "cuda" else 0

    def rank(name: str) -> tuple[bool, int]:
        rounded = next((number for pattern, number in ROUNDED if pattern.search(PurePosixPath(name).stem)), 0)
        return rounded != best, rounded

    return min(in_order(named), key=rank)


def is_data(name: str) -> bool:
    return re.search(r"\.onnx[._]data|\.data$|\.bin\.data$", name) is not None


def data_of(graph: str, names: Iterable[str]) -> list[str]:
    """Return the files beside a graph that hold its weights, by the names that exporters give them."""
    stem = graph.removesuffix(".onnx")
    return [
        name
        for name in names
        if (name.startswith(graph) and name != graph) or name in (f"{stem}.data", f"{stem}_data", f"{stem}.bin")
    ]


def without_config(names: Collection[str], what: str) -> str:
    """Say what a repository is that has no `config.json`."""
    if "adapter_config.json" in names:
        return f"{what} is an adapter, not a model; merge it into its base with peft's merge_and_unload, and save that"
    return f"{what} has no config.json, so it is no model of transformers; give one that was saved by save_pretrained"


def without_weights(names: Collection[str], what: str) -> str:
    """Say what is there in place of weights that can be served, and how to convert it."""
    if any(name.endswith("adapter_model.safetensors") for name in names):
        return f"{what} is an adapter, not a model; merge it into its base with peft's merge_and_unload, and save that"
    others = sorted(name for name in names if name.endswith(OTHER_FORMATS) and name != "training_args.bin")
    if not others:
        return f"{what} has neither ONNX graphs nor safetensors; save it with save_pretrained, and push that"
    return pickled(others[0], what)


def pickled_module(name: str, what: str) -> str:
    """Say what to do about a module's weights that are pickled; they are part of the model."""
    return (
        f"{what} has the weights of a module as {name} only, which may run code when it is opened and is never loaded "
        "here; download it and type: roberta-train convert FOLDER"
    )


def pickled(name: str, what: str) -> str:
    return (
        f"{what} has its weights as {name} only, which may run code when it is opened and is never loaded here; "
        "convert it at https://huggingface.co/spaces/safetensors/convert and give @refs/pr/N of the change that this "
        "makes, or download it and type: roberta-train convert FOLDER"
    )
