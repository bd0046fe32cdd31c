"""Whether what was fetched is what the Hub has: sizes, and hashes, of which the names of blobs consist."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from app.bundle.files import sha256

POINTER = b"version https://git-lfs.github.com/spec/"
SHA256, GIT_SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


class Expected(NamedTuple):
    """What the Hub says of a file. `digest` is empty where only the name of its blob says it."""

    size: int
    digest: str = ""


def broken_files(snapshot: Path, expected: Mapping[str, Expected]) -> list[str]:
    """Return the files of a snapshot that are not what the Hub says they are."""
    return [name for name, each in expected.items() if not is_whole(snapshot / name, each)]


def is_whole(file: Path, expected: Expected) -> bool:
    """Whether a file has its size and its hash: the SHA-256 of a large file, git's SHA-1 of another.

    A blob is named after its hash, too; a name that is neither, as some mirrors have it, is not compared.
    """
    try:
        if file.stat().st_size != expected.size:
            return False
        known = expected.digest or (file.readlink().name if file.is_symlink() else "")
    except OSError:
        return False
    if SHA256.fullmatch(known):
        return sha256(file) == known
    return git_sha1(file) == known if GIT_SHA1.fullmatch(known) else True


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
