"""The files of a bundle: hashes, and JSON with errors for a person."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.bundle.manifest import MANIFEST, BundleError, Manifest


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


def first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
