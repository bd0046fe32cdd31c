"""Writing: a file, a folder or a bundle appears under its name when it is whole."""

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


def replace_file(path: Path, text: str) -> None:
    """Write a file in one step: a reader finds the old one or the new one, whole, also after a crash."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_durably(unfinished, text)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write to, beside `path`; it takes the place of `path` when everything is written.

    On any exception it is removed, and what stood at `path` still does. What a killed writer left behind, the next
    one removes.
    """
    pattern = f".{path.name}.*.unfinished"
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent, pattern)
    unfinished = path.with_name(pattern.replace("*", str(os.getpid())))
    unfinished.mkdir()
    lock = hold(unfinished)
    try:
        yield unfinished
        move_into_place(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def move_into_place(folder: Path, path: Path) -> None:
    """Rename a folder to `path`; a folder that is there is removed once that has succeeded."""
    replaced = folder.with_name(f"{folder.name}.replaced")
    had_one = path.exists()
    if had_one:
        path.rename(replaced)
    try:
        folder.rename(path)
    except OSError:
        if had_one:
            replaced.rename(path)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def write_durably(path: Path, text: str) -> None:
    """Write a text file and flush it to disk."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def new_version(models: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Yield a temporary folder and the version number it will have; rename it into place on success.

    The folder's name reserves the number, so that two writers never want the same one. On any exception the
    folder is removed and nothing becomes visible; what a killed writer left behind, the next one removes.
    """
    parent = models / name
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent, f"{TEMPORARY_PREFIX}*")
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


def remove_abandoned(parent: Path, pattern: str) -> None:
    """Delete the temporary folders, by the pattern of their names, whose writers are dead."""
    for partial in parent.glob(pattern):
        if (lock := hold(partial)) is not None:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(lock)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Hash every file in `folder`, write `manifest.json` last, and flush it to disk."""
    files = {
        str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST
    }
    text = manifest.model_copy(update={"files": files}).model_dump_json(indent=2)
    write_durably(folder / MANIFEST, text + "\n")
