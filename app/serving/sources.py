"""Where models come from: a bundle, which proves itself, or a folder as Optimum and the Hub make it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.bundle import MANIFEST, Bundle, BundleError, Graph, Manifest, Precision, read_bundle, read_json
from app.bundle.config import names_labels
from app.bundle.contents import graph_files, reason_against
from app.bundle.files import belongs_to, check_no_pointer, fingerprint, first_problem, read_card
from app.bundle.graph_file import GraphFacts, check_graph
from app.bundle.graph_kind import columns_of, depends_on_batch, in_order, precision_of
from app.bundle.hub_folder import HubFolder
from app.bundle.positions import max_length_of, position_offset_of
from app.bundle.sentence_modules import module_files, read_modules
from app.bundle.tokenizer_file import check_tokenizer
from app.bundle.vocabularies import VOCABULARY_FILES, build_tokenizer
from app.serving.additions import additions_to
from app.serving.built import keep_built
from app.tasks import task_named, task_of
from app.tasks.base import Task

MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)  # of a hostile file
CONFIGS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def read_folder(path: Path, *, name: str, version: int) -> Bundle:
    """Read a bundle, or a folder of the Hub where there is no manifest, of a task that is served here.

    Raises `BundleError` with the reason when anything is missing, altered or not understood, `NoGraphError` for a
    checkpoint that has no graph yet.
    """
    if not path.is_dir():
        raise BundleError("the folder is missing")
    try:
        has_manifest = (path / MANIFEST).is_file()
        bundle = (read_bundle if has_manifest else read_hub_folder)(path, name=name, version=version)
        task_named(bundle.manifest.task).check(bundle.manifest)
        check_tokenizer(bundle.tokenizer_file)
        if has_manifest:
            for graph in bundle.manifest.graphs.values():
                check_graph(path, graph.file, bundle.manifest.files)
    except OSError as error:
        raise BundleError(f"the folder cannot be read: {error.strerror}") from error
    except MALFORMED as error:
        raise BundleError(f"the folder is not understood: {type(error).__name__}") from error
    return bundle


def check_links(path: Path, files: Iterable[str]) -> None:
    """Refuse a folder of which a file is a pointer of Git LFS, or a link that leaves it, except to its blobs in the
    cache of huggingface_hub."""
    for file in files:
        if (path / file).is_symlink() and not (path / file).exists():
            raise BundleError(
                f"{file} is a link to what is not there; of Hugging Face's cache, mount the folder models--ORG--NAME"
            )
        if not belongs_to(path, file):
            raise BundleError(f"{file} is a link that leaves the folder; copy what it points at")
        if (path / file).is_file():
            check_no_pointer(path / file)


def read_hub_folder(path: Path, *, name: str, version: int) -> Bundle:
    """Read a folder with `config.json`, a tokenizer and ONNX graphs, beside the config or in `onnx/`.

    Nothing in such a folder proves that it is whole or answers as it should: it has no hashes and no probes. Its graph
    takes padded batches. Of several graphs of one precision the one is taken that `in_order` has first.
    """
    content, files = fingerprint(path), in_order(graph_files(path))
    check_links(path, (*CONFIGS, *VOCABULARY_FILES, *module_files(path), *files))
    if not (path / "config.json").exists() or not files:
        raise reason_against(path, name)
    config, modules = read_json(path / "config.json"), read_modules(path)
    task = task_of(config, has_modules=modules is not None)
    graphs: dict[Precision, Graph] = {}
    facts: dict[Precision, GraphFacts] = {}
    for file in files:
        found = check_graph(path, file, None)
        if (precision := precision_of(found)) not in graphs:
            graphs[precision] = Graph(file=file, tolerance=1.0, depends_on_batch=depends_on_batch(found))
            facts[precision] = found
    if not names_labels(config) and (columns := next(filter(None, map(columns_of, facts.values())), None)):
        config["num_labels"] = columns
    folder = HubFolder(config, facts, modules)
    manifest = manifest_of(path, name, version, folder, graphs, task)
    additions = additions_to(folder, task.pooling_of(manifest))
    bundle = Bundle(
        path, manifest, config, verified=False, fingerprint=content, additions=additions, card=read_card(path)
    )
    if (path / "tokenizer.json").is_file():
        return bundle
    return replace(bundle, kept_tokenizer=keep_built(build_tokenizer(path, config)))


def with_columns(bundle: Bundle, count: Callable[[], int]) -> Bundle:
    """Return a folder of the Hub whose config names no labels with as many as its graph has columns, by `count`."""
    if bundle.verified or names_labels(bundle.config) or not bundle.manifest.labels:
        return bundle
    config = {**bundle.config, "num_labels": count()}
    fields = task_named(bundle.manifest.task).manifest_fields(config)
    return replace(bundle, config=config, manifest=bundle.manifest.model_copy(update=fields))


def manifest_of(
    path: Path, name: str, version: int, folder: HubFolder, graphs: dict[Precision, Graph], task: type[Task[Any, Any]]
) -> Manifest:
    """Return the manifest that a folder of the Hub would have. Raises `BundleError`."""
    try:
        return Manifest(
            name=name,
            version=version,
            task=task.name,
            layout="padded",
            max_length=folder.max_length(max_length_of(path, folder.config)),
            position_offset=position_offset_of(folder.config),
            graphs=graphs,
            **task.folder_fields(folder),
        )
    except ValidationError as error:
        raise BundleError(f"the folder cannot be served: {first_problem(error)}") from error
