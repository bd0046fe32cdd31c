"""Folders as Optimum and the Hub make them, which prove nothing of themselves."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from app.bundle.config import labels_of, max_length_of, problem_type_of, task_of
from app.bundle.files import first_problem, read_json
from app.bundle.manifest import Bundle, BundleError, Graph, Manifest, Precision

HUB_GRAPHS: dict[Precision, tuple[str, ...]] = {
    "fp32": ("model.onnx", "onnx/model.onnx"),
    "fp16": ("model_fp16.onnx", "onnx/model_fp16.onnx"),
    "int8": ("model_quantized.onnx", "onnx/model_quantized.onnx", "onnx/model_int8.onnx"),
}


def read_hub_folder(path: Path, *, name: str, version: int) -> Bundle:
    """Read a folder with `config.json`, `tokenizer.json` and `model.onnx` or `onnx/model*.onnx`.

    Such a folder proves nothing of itself: no hashes, no probes, and its graph computes padding.
    """
    config = read_json(path / "config.json")
    if not (path / "tokenizer.json").is_file():
        raise BundleError("tokenizer.json is missing; save the folder with a fast tokenizer")
    graphs: dict[Precision, Graph] = {
        precision: Graph(file=file, tolerance=1.0)
        for precision, files in HUB_GRAPHS.items()
        for file in files[::-1]
        if (path / file).is_file()
    }
    if not graphs:
        raise BundleError("there is no manifest.json, model.onnx or onnx/model*.onnx")
    task = task_of(config)
    try:
        manifest = Manifest(
            name=name,
            version=version,
            task=task,
            problem_type=problem_type_of(config) if task == "text-classification" else None,
            layout="padded",
            labels=[] if task == "fill-mask" else labels_of(config),
            max_length=max_length_of(path, config),
            graphs=graphs,
        )
    except ValidationError as error:
        raise BundleError(f"the folder cannot be served: {first_problem(error)}") from error
    return Bundle(path, manifest, config, verified=False)
