"""Where models come from: a bundle, which proves itself, or a folder as Optimum and the Hub make it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from app.bundle import MANIFEST, Bundle, BundleError, Graph, Manifest, Precision, read_bundle, read_json
from app.bundle.config import max_length_of
from app.bundle.files import belongs_to, fingerprint, first_problem
from app.bundle.graph_file import check_graph
from app.bundle.tokenizer_file import check_tokenizer
from app.tasks import task_named, task_of

HUB_GRAPHS: dict[Precision, tuple[str, ...]] = {
    "fp32": ("model.onnx", "onnx/model.onnx"),
    "fp16": ("model_fp16.onnx", "onnx/model_fp16.onnx"),
    "int8": ("model_quantized.onnx", "onnx/model_quantized.onnx", "onnx/model_int8.onnx"),
}


def read_folder(path: Path, *, name: str, version: int) -> Bundle:
    """Read a bundle, or a folder of the Hub where there is no manifest, of a task that is served here.

    Raises `BundleError` with the reason when anything is missing, altered or not understood.
    """
    try:
        has_manifest = (path / MANIFEST).is_file()
        bundle = (read_bundle if has_manifest else read_hub_folder)(path, name=name, version=version)
        task_named(bundle.manifest.task).check(bundle.manifest)
        check_tokenizer(bundle.tokenizer_file)
        for graph in bundle.manifest.graphs.values():
            check_graph(path, graph.file, bundle.manifest.files if has_manifest else None)
    except OSError as error:
        raise BundleError(f"the folder cannot be read: {error.strerror}") from error
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # of a hostile file
        raise BundleError(f"the folder is not understood: {type(error).__name__}") from error
    return bundle


def check_links(path: Path, files: Iterable[str]) -> None:
    """Refuse a folder of which a file is a link that leaves it, except to its blobs in the cache of huggingface_hub."""
    for file in files:
        if (path / file).is_symlink() and not (path / file).exists():
            raise BundleError(
                f"{file} is a link to what is not there; of Hugging Face's cache, mount the folder models--ORG--NAME"
            )
        if not belongs_to(path, file):
            raise BundleError(f"{file} is a link that leaves the folder; copy what it points at")


def read_hub_folder(path: Path, *, name: str, version: int) -> Bundle:
    """Read a folder with `config.json`, `tokenizer.json` and `model.onnx` or `onnx/model*.onnx`.

    Nothing in such a folder proves that it is whole or answers as it should: it has no hashes and no probes. Its graph
    takes padded batches.
    """
    content = fingerprint(path)
    check_links(
        path, ("config.json", "tokenizer.json", "tokenizer_config.json", *itertools.chain(*HUB_GRAPHS.values()))
    )
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
            task=task.name,
            layout="padded",
            max_length=max_length_of(path, config),
            graphs=graphs,
            **task.manifest_fields(config),
        )
    except ValidationError as error:
        raise BundleError(f"the folder cannot be served: {first_problem(error)}") from error
    return Bundle(path, manifest, config, verified=False, fingerprint=content)
