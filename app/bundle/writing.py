"""A bundle becomes visible whole, under a number of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.bundle.files import sha256
from app.bundle.manifest import MANIFEST, TEMPORARY_PREFIX, Manifest
from app.bundle.reading import versions


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
