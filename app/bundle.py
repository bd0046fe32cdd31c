"""The bundle: the folder that `training` writes and the service reads. The only thing the two sides share.

    models/<name>/<version>/
      manifest.json   config.json   tokenizer.json   model.<precision>.onnx   README.md

A bundle is written to a temporary folder and renamed last, so one that exists is whole; every file is hashed.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MANIFEST = "manifest.json"
TEMPORARY_PREFIX = ".partial-"

TaskName = Literal["text-classification", "token-classification", "fill-mask"]
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
Precision = Literal["fp32", "fp16", "int8"]
Layout = Literal["packed", "padded"]
Pooling = Literal["mean", "max", "first"]

BundleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class BundleError(Exception):
    """A bundle cannot be read, is incomplete, or was altered. The message is one sentence for a person."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Graph(Frozen):
    """One served ONNX graph of a bundle."""

    file: str = Field(description="File name inside the bundle.")
    tolerance: float = Field(gt=0, description="Largest drift of a probe's logits from the checkpoint's.")
    temperature: float = Field(1.0, gt=0, description="Logits are divided by this before the softmax.")
    thresholds: dict[str, float] | None = Field(
        None, description="Multi-label: the score from which on each label applies, fitted on validation."
    )
    metrics: dict[str, float] = Field(default_factory=dict, description="Measured on the test split.")
    quantisation: dict[str, Any] | None = Field(
        None, description="int8: operators left in fp32, and the validation metric lost before and after."
    )


class Probe(Frozen):
    """A text and what the PyTorch checkpoint answered, to be compared with what the service's graph answers.

    `logits` has shape (rows, columns): a row per output position of the text, and the columns of `columns`
    (every one of them where that is None; a vocabulary's are too many to store).
    """

    text: str
    columns: list[int] | None = None
    logits: list[list[float]]

    def drift(self, answered: NDArray[np.float32]) -> float:
        """Return the greatest difference of `answered` (rows, width) from the checkpoint's logits.

        Infinite where the shapes differ, or an answer is not a number.
        """
        expected = np.array(self.logits, np.float32)
        columns = answered if self.columns is None else answered[:, self.columns]
        if columns.shape != expected.shape or not np.isfinite(columns).all():
            return math.inf
        return float(np.abs(columns - expected).max())


class Manifest(Frozen):
    """What a bundle says of itself."""

    schema_version: Literal[1] = 1
    name: BundleName
    version: int = Field(ge=1)
    task: TaskName
    problem_type: ProblemType | None = None
    layout: Layout
    labels: list[str] = Field(default_factory=list, description="Label of each output column, in order.")
    max_length: int = Field(ge=8, description="Tokens in a window, special tokens included.")
    position_offset: int = Field(0, ge=0, description="First position id; RoBERTa counts from pad_token_id + 1.")
    pooling: Pooling = Field("mean", description="How the windows of a long text become one classification.")
    graphs: dict[Precision, Graph] = Field(min_length=1)
    probes: list[Probe] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict, description="sha256 of each file but the manifest.")
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A readable bundle on disk. `verified` is False for a Hub folder, which carries no hashes or probes."""

    path: Path
    manifest: Manifest
    config: dict[str, Any]
    verified: bool = True

    @property
    def tokenizer_file(self) -> Path:
        return self.path / "tokenizer.json"

    def graph_file(self, precision: Precision) -> Path:
        return self.path / self.manifest.graphs[precision].file


def read_bundle(path: Path, *, name: str, version: int) -> Bundle:
    """Read and check a bundle folder, hashes included, or a Hub folder that has no manifest.

    Raises `BundleError` with the reason when anything is missing, altered or not understood.
    """
    if not (path / MANIFEST).is_file():
        return read_hub_folder(path, name=name, version=version)
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except ValidationError as error:
        raise BundleError(f"{MANIFEST} is not valid at {first_problem(error)}") from error
    if (manifest.name, manifest.version) != (name, version):
        raise BundleError(f"{MANIFEST} says {manifest.name}:{manifest.version} but the folder says {name}:{version}")
    check_files(path, manifest)
    return Bundle(path, manifest, read_json(path / "config.json"))


def first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"


def check_files(path: Path, manifest: Manifest) -> None:
    """Compare every file with its hash in the manifest."""
    required = {"config.json", "tokenizer.json", *(graph.file for graph in manifest.graphs.values())}
    if unlisted := required - manifest.files.keys():
        raise BundleError(f"{MANIFEST} has no sha256 for {', '.join(sorted(unlisted))}")
    for file, expected in manifest.files.items():
        if not is_inside(path, file):
            raise BundleError(f"{MANIFEST} names {file!r}, which is outside the bundle")
        if not (path / file).is_file():
            raise BundleError(f"{file} is missing")
        if sha256(path / file) != expected:
            raise BundleError(f"{file} was altered or half-copied: its sha256 is not the manifest's")


def is_inside(folder: Path, file: str) -> bool:
    return (folder / file).resolve().is_relative_to(folder.resolve())


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or raise `BundleError` naming the file."""
    try:
        return TypeAdapter(dict[str, Any]).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BundleError(f"{path.name} is missing") from error
    except (ValidationError, OSError) as error:
        raise BundleError(f"{path.name} cannot be read as a JSON object") from error


# --- Hub folders: what Optimum and the Hub produce ------------------------------------------------------

ARCHITECTURES: dict[str, TaskName] = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
}
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


def task_of(config: dict[str, Any]) -> TaskName:
    """Return the task that `architectures` names. Raises `BundleError` when it is not one of ours."""
    architectures = config.get("architectures") or []
    for architecture in architectures:
        for suffix, task in ARCHITECTURES.items():
            if str(architecture).endswith(suffix):
                return task
    raise BundleError(f"config.json's architectures {architectures} name no task served here")


def labels_of(config: dict[str, Any]) -> list[str]:
    """Return labels in column order from `id2label`."""
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or set(id2label) != {str(i) for i in range(len(id2label))}:
        raise BundleError("config.json needs an id2label that names the columns 0, 1, 2, ...")
    return [str(id2label[str(i)]) for i in range(len(id2label))]


def problem_type_of(config: dict[str, Any]) -> ProblemType:
    """Return the kind of classification. Raises `BundleError` when it is not one of transformers'."""
    problem_type = config.get("problem_type") or "single_label_classification"
    try:
        return TypeAdapter(ProblemType).validate_python(problem_type)
    except ValidationError as error:
        raise BundleError(f"config.json's problem_type {problem_type!r} is not known") from error


def whole_number(config: dict[str, Any], key: str, default: int | None = None) -> int:
    """Return a whole number of the config, or raise `BundleError` naming it."""
    value = config.get(key, default)
    if not isinstance(value, int):
        raise BundleError(f"config.json needs a whole number as {key}, not {value!r}")
    return value


def position_offset_of(config: dict[str, Any]) -> int:
    """Return the first position id.

    RoBERTa and its kin count positions from pad_token_id + 1 (fairseq's make_positions); BERT from zero.
    """
    return 0 if config.get("model_type") == "bert" else whole_number(config, "pad_token_id", 1) + 1


def max_length_of(path: Path, config: dict[str, Any]) -> int:
    """Return the longest window in tokens: the tokenizer's limit, bounded by the position embeddings."""
    positions = whole_number(config, "max_position_embeddings") - position_offset_of(config)
    tokenizer_config = path / "tokenizer_config.json"
    limit = read_json(tokenizer_config).get("model_max_length") if tokenizer_config.is_file() else None
    return min(positions, int(limit)) if isinstance(limit, int | float) else positions


# --- Writing --------------------------------------------------------------------------------------------


def versions(models: Path, name: str) -> list[int]:
    """Return the version numbers under `models/name`, highest first."""
    folder = models / name
    if not folder.is_dir():
        return []
    return sorted((int(p.name) for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()), reverse=True)


@contextmanager
def new_version(models: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Yield a temporary folder and the version number it will have; rename it into place on success.

    The folder's name reserves the number, so that two writers never want the same one. On any exception the
    folder is removed and nothing becomes visible; what a killed writer left behind, the next one removes.
    """
    parent = models / name
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent)
    version = max(versions(models, name), default=0) + 1
    while (reserved := reserve(parent, version)) is None:
        version += 1
    partial, lock = reserved
    try:
        yield partial, version
        partial.rename(parent / str(version))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            parent.rmdir()  # where it holds no other version
        raise
    finally:
        os.close(lock)


def reserve(parent: Path, version: int) -> tuple[Path, int] | None:
    """Make the temporary folder of a version and hold it, or return None when another writer has it."""
    partial = parent / f"{TEMPORARY_PREFIX}{version}"
    try:
        partial.mkdir()
    except FileExistsError:
        return None
    lock = hold(partial)
    return None if lock is None else (partial, lock)


def hold(folder: Path) -> int | None:
    """Return a descriptor that holds a folder until it is closed or the process dies; None where another holds it."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), folder.stat()):
            return lock
    except OSError:
        pass  # held by another, or removed meanwhile
    os.close(lock)
    return None


def remove_abandoned(parent: Path) -> None:
    """Delete the temporary folders whose writers are dead."""
    for partial in parent.glob(f"{TEMPORARY_PREFIX}*"):
        if (lock := hold(partial)) is not None:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(lock)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Hash every file in `folder`, write `manifest.json` last, and flush it to disk."""
    files = {
        str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST
    }
    text = manifest.model_copy(update={"files": files}).model_dump_json(indent=2)
    with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
