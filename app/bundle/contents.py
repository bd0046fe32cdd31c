"""What lies in a folder that should be a model, and why it cannot be served as it is, with the command that helps."""

from __future__ import annotations

import shlex
from pathlib import Path

from app.bundle.manifest import MANIFEST, BundleError

FOLDERS = ("", "onnx")  # where graphs lie
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
OTHER_WEIGHTS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "openvino_model.xml": "OpenVINO"}
ADAPTER = "adapter_config.json"
SENTENCES = ("modules.json", "config_sentence_transformers.json", "0_Transformer")
SHOWN = 8  # names of a folder that are told


class NoGraphError(BundleError):
    """A checkpoint of safetensors without an ONNX graph: `roberta-train export` makes a bundle of it."""


def is_itself_model(folder: Path) -> bool:
    """Whether a folder is itself a model, as one that was given in place of the folder of models."""
    return (folder / MANIFEST).is_file() or (folder / "config.json").is_file()


def graph_files(path: Path) -> list[str]:
    """Return the ONNX graphs of a folder that are a whole model: `model*.onnx`, or the only one of another name."""
    found = [
        f"{folder}/{file.name}" if folder else file.name
        for folder in FOLDERS
        for file in sorted((path / folder).glob("*.onnx"))
        if file.is_file()
    ]
    named = [file for file in found if file.rpartition("/")[2].startswith("model")]
    return named or (found if len(found) == 1 else [])


def reason_against(path: Path, name: str) -> BundleError:
    """Return why a folder without a manifest, and without a config or a graph, cannot be served."""
    there = {entry.name for entry in path.iterdir()}
    has_config = "config.json" in there
    if ADAPTER in there:
        return BundleError("it is an adapter; merge it into its base (merge_and_unload of peft) and save that")
    if not has_config and there.intersection(SENTENCES):
        return BundleError(
            "it is a folder of sentence-transformers whose transformer is in a folder of its own; save it again with "
            "version 3 or newer, which puts config.json beside modules.json"
        )
    if has_config and there.intersection(WEIGHTS):
        return NoGraphError(f"it has weights and no ONNX graph yet; type: {export_command(path, name)}")
    if has_config and there.intersection(PICKLED):
        return BundleError(
            f"its weights are pickled, which is not safe to load; type: roberta-train convert {where(path)}, "
            f"then: {export_command(path, name)}"
        )
    for file, library in OTHER_WEIGHTS.items():
        if file in there:
            return BundleError(f"its weights are those of {library} ({file}); save it from PyTorch as safetensors")
    return BundleError(missing(path, sorted(there)))


def missing(path: Path, entries: list[str]) -> str:
    has_config = "config.json" in entries
    inner = [entry for entry in entries if (path / entry / "config.json").is_file()]
    if not has_config and inner:
        return f"it is no model, but {inner[0]} in it is: move that to the models folder, or name it by --model"
    if not has_config:
        return f"config.json is missing; {has(entries)}"
    graphs = [entry for entry in entries if entry.endswith(".onnx")]
    if graphs:
        return f"it has several graphs, {listed(graphs)}; call the one to serve model.onnx"
    return f"there is no manifest.json, ONNX graph (model.onnx, onnx/model*.onnx) or model.safetensors; {has(entries)}"


def has(entries: list[str]) -> str:
    return f"the folder has {listed(entries)}" if entries else "the folder is empty"


def listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def export_command(path: Path, name: str) -> str:
    return f"roberta-train export {where(path)} --name {name}"


def where(path: Path) -> str:
    """Return a folder as a person would type it from above the models folder: no more of this machine's paths."""
    return shlex.quote(str(Path(*path.parts[-2:])))
