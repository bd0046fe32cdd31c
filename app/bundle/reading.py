"""A bundle is read whole, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from app.bundle.files import check_files, first_problem, read_card, read_file, read_json
from app.bundle.manifest import MANIFEST, Bundle, BundleError, Manifest

MOST_BYTES = 16 * 2**20  # of a manifest: its probes are a few texts


def versions(models: Path, name: str) -> list[int]:
    """Return the version numbers under `models/name`, highest first."""
    folder = models / name
    if not folder.is_dir():
        return []
    return sorted((int(p.name) for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()), reverse=True)


def version_folders(models: Path, name: str) -> dict[int, Path]:
    """Return the folder of each version of a bundle, the highest first; a Hub folder is itself its version 1."""
    try:
        numbers = versions(models, name)
    except OSError:  # reading the folder itself will fail, with a reason
        numbers = []
    return {number: models / name / str(number) for number in numbers} or {1: models / name}


def read_bundle(path: Path, *, name: str, version: int) -> Bundle:
    """Read and check a bundle folder, hashes included. Whether its task is served is not checked.

    Raises `BundleError` with the reason when anything is missing, altered or not understood.
    """
    try:
        content = read_file(path / MANIFEST, MOST_BYTES)
        manifest = Manifest.model_validate_json(content)
    except FileNotFoundError as error:
        raise BundleError(f"{MANIFEST} is missing") from error
    except OSError as error:
        raise BundleError(f"{MANIFEST} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise BundleError(f"{MANIFEST} is not valid at {first_problem(error)}") from error
    if (manifest.name, manifest.version) != (name, version):
        raise BundleError(f"{MANIFEST} says {manifest.name}:{manifest.version} but the folder says {name}:{version}")
    check_files(path, manifest)
    config = read_json(path / "config.json")
    return Bundle(path, manifest, config, fingerprint=hashlib.sha256(content).hexdigest(), card=read_card(path))
