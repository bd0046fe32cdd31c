"""The cache of huggingface_hub as it lies on disk: a folder of one repository, its snapshots, and their links.

    models--ORG--NAME/
      refs/main                         the commit that a branch or tag names
      snapshots/<commit>/config.json    a link to ../../blobs/<hash>
      blobs/<hash>                      the file, or a link to blobs/<2 digits>/<hash> beside all repositories

Source: "Understand caching" of huggingface_hub's documentation.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from app.bundle.manifest import BundleError

PREFIX = "models--"
OTHER_PREFIXES = ("datasets--", "spaces--", "kernels--")
SHARED_HASH = re.compile(r"[0-9a-f]{64}")


def is_cached_repository(folder: Path) -> bool:
    """Whether a folder is that of one repository in the cache, whatever it was mounted as."""
    return (folder / "snapshots").is_dir() and ((folder / "refs").is_dir() or (folder / "blobs").is_dir())


def repository_of(folder: Path) -> str | None:
    """Return ORG/NAME of a repository's folder, or of a snapshot in it; None where its name does not say."""
    for part in (folder, folder.parent.parent):
        if part.name.startswith(PREFIX):
            return part.name.removeprefix(PREFIX).replace("--", "/", 1)
    return None


def snapshot_in(folder: Path) -> Path:
    """Return the snapshot of refs/main in a repository's folder, or the only one. Raises `BundleError`."""
    try:
        commit = (folder / "refs" / "main").read_text(encoding="ascii").strip()
        if (snapshot := folder / "snapshots" / Path(commit).name).is_dir():
            return snapshot
    except (OSError, UnicodeError):
        commit = ""
    try:
        found = [path for path in (folder / "snapshots").iterdir() if path.is_dir()]
    except OSError as error:
        raise BundleError(f"its snapshots cannot be read: {error.strerror}") from error
    if len(found) == 1 and not commit:
        return found[0]
    missing = f"refs/main names {commit[:40]}, which is not among them" if commit else "refs/main is missing"
    raise BundleError(
        f"the cached repository has {len(found)} snapshots and {missing}; fetch it again, or give one snapshot's folder"
    )


def is_own_blob(folder: Path, file: str) -> bool:
    """Whether a file of a snapshot is a link into the blobs of its own repository, where its content is."""
    try:
        path, snapshot = folder / file, folder.resolve()
        if not path.parent.resolve().is_relative_to(snapshot) or snapshot.parent.name != "snapshots":
            return False
        blobs = snapshot.parent.parent / "blobs"
        blob = Path(os.path.normpath(path.parent.resolve() / path.readlink()))
        return blob.parent == blobs and (not blob.is_symlink() or is_shared(blob.resolve(), blobs.parent.parent))
    except (OSError, RuntimeError, ValueError):  # no link, or links in a circle
        return False


def is_shared(path: Path, cache: Path) -> bool:
    """Whether a path is one of the blobs that all repositories of a cache share."""
    is_named = SHARED_HASH.fullmatch(path.name) is not None and path.parent.name == path.name[:2]
    return is_named and path.parent.parent == cache / "blobs"
