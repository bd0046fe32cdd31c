"""The files of a bundle: hashes, and JSON with errors for a person."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.bundle.hub_cache import is_own_blob
from app.bundle.manifest import MANIFEST, BundleError, Manifest

MOST_JSON_BYTES = 64 * 2**20  # of a file that is read as JSON
MOST_HASHED_BYTES = 32 * 2**30  # of one file of a bundle
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
CARD, MOST_CARD_BYTES = "README.md", 2**18
MOST_FILES = 1000  # in a folder without a manifest


def check_files(path: Path, manifest: Manifest) -> None:
    """Compare every file with its hash in the manifest."""
    required = {"config.json", "tokenizer.json", *(graph.file for graph in manifest.graphs.values())}
    if unlisted := required - manifest.files.keys():
        raise BundleError(f"{MANIFEST} has no sha256 for {', '.join(sorted(unlisted))}")
    for file, expected in manifest.files.items():
        if not belongs_to(path, file):
            raise BundleError(f"{MANIFEST} names {file!r}, which is outside the bundle")
        if not (path / file).is_file():
            raise BundleError(f"{file} is missing")
        if (path / file).stat().st_size > MOST_HASHED_BYTES:
            raise BundleError(f"{file} is larger than {MOST_HASHED_BYTES} bytes")
        if sha256(path / file) != expected:
            check_no_pointer(path / file)
            raise BundleError(f"{file} was altered or half-copied: its sha256 is not the manifest's")


def belongs_to(folder: Path, file: str) -> bool:
    """Whether a file is within its folder, or what the cache of huggingface_hub has in its place."""
    return is_inside(folder, file) or is_own_blob(folder, file)


def is_inside(folder: Path, file: str) -> bool:
    """Whether a path under `folder` stays within it, links followed."""
    try:
        return (folder / file).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, or a name that no file can have
        return False


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_file(path: Path, most: int = MOST_JSON_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises `OSError` where it cannot be opened, `BundleError` where it is something else, a FIFO for one, which would
    block, or larger.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path.name} is not a regular file")
        if status.st_size > most or len(content := stream.read(most + 1)) > most:
            raise BundleError(f"{path.name} is larger than {most} bytes")
    check_pointer(path.name, content)
    return content


def check_pointer(name: str, content: bytes) -> None:
    """Raise `BundleError` where a file begins as one that Git LFS puts in the place of the file itself."""
    if content.startswith(LFS_POINTER):
        raise BundleError(f"{name} is a pointer of Git LFS, not the file itself; run `git lfs pull` in its folder")


def check_no_pointer(path: Path) -> None:
    """Raise `BundleError` where a file is a pointer of Git LFS, `OSError` where it cannot be read."""
    with path.open("rb") as stream:
        check_pointer(path.name, stream.read(len(LFS_POINTER)))


def fingerprint(path: Path) -> str:
    """Return what changes with the content of a bundle: the hash of its manifest, which has those of its files.

    Without a manifest it is made of the names, sizes and times of the files. Raises `OSError` and `BundleError`.
    """
    try:
        return hashlib.sha256(read_file(path / MANIFEST)).hexdigest()
    except FileNotFoundError:
        digest = hashlib.sha256()
    files = list(itertools.islice(path.rglob("*"), MOST_FILES + 1))
    if len(files) > MOST_FILES:
        raise BundleError(f"the folder has more than {MOST_FILES} files")
    for file in sorted(files):
        status = file.lstat()
        digest.update(f"{file.relative_to(path)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or raise `BundleError` naming the file."""
    try:
        return TypeAdapter(dict[str, Any]).validate_json(read_file(path))
    except FileNotFoundError as error:
        raise BundleError(f"{path.name} is missing") from error
    except (ValidationError, OSError) as error:
        raise BundleError(f"{path.name} cannot be read as a JSON object") from error


def read_card(path: Path) -> str:
    """Return the model card of a folder; empty where it has none, or one that cannot be read or is too long.

    A link that leaves the folder, which anybody who can write to it may point at a secret, is no card.
    """
    if not belongs_to(path, CARD):
        return ""
    try:
        return read_file(path / CARD, MOST_CARD_BYTES).decode(errors="replace")
    except (OSError, BundleError):
        return ""


def first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
