"""Whether what was fetched is what the Hub has: sizes, and hashes, of which the names of blobs consist."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from app.bundle.files import sha256

POINTER = b"version https://git-lfs.github.com/spec/"
SHA256, GIT_SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


def broken_files(snapshot: Path, sizes: Mapping[str, int]) -> list[str]:
    """Return the files of a snapshot that are not what the Hub says they are. `sizes` are those that it says."""
    return [name for name, size in sizes.items() if not is_whole(snapshot / name, size)]


def is_whole(file: Path, size: int) -> bool:
    """Whether a file has its size, and the hash that its blob is named after.

    A blob's name is the SHA-256 of a large file and git's SHA-1 of another; one that is neither, as mirrors have it, is
    not compared.
    """
    try:
        if file.stat().st_size != size:
            return False
        name = file.readlink().name if file.is_symlink() else ""
    except OSError:
        return False
    if SHA256.fullmatch(name):
        return sha256(file) == name
    return git_sha1(file) == name if GIT_SHA1.fullmatch(name) else True


def git_sha1(file: Path) -> str:
    """Return the hash by which git knows a file's content. Source: "Git Objects" of the Pro Git book."""
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def pointers_among(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the files that Git LFS has put in place of large ones that were not fetched."""
    return [name for name in names if is_pointer(folder / name)]


def is_pointer(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(POINTER)) == POINTER
