"""What lies under the models folder: the names of bundles, or why the folder tells nothing."""

from __future__ import annotations

from pathlib import Path

from app.bundle import TEMPORARY_PREFIX

LOST_AND_FOUND = "lost+found"  # at the root of a mounted file system, readable by root only


class FolderAwayError(Exception):
    """The models folder is missing, no folder, or cannot be read. The message is a sentence for a person."""


def bundle_names(models: Path) -> list[str]:
    """Return the names of the bundles under the models folder, in order. Raises `FolderAwayError`."""
    try:
        return sorted(path.name for path in models.iterdir() if is_bundle(path))
    except FileNotFoundError:
        raise FolderAwayError("the models folder is missing") from None
    except NotADirectoryError:
        raise FolderAwayError("the models folder is not a folder") from None
    except OSError as error:
        raise FolderAwayError(f"the models folder cannot be read: {error.strerror}") from error


def is_bundle(path: Path) -> bool:
    """Whether a folder under `models/` is to be served: not a hidden one, nor one that is being written for the first
    time."""
    if path.name.startswith((".", "_")) or path.name == LOST_AND_FOUND or not path.is_dir():
        return False
    try:
        entries = [entry.name for entry in path.iterdir()]
    except OSError:
        return True  # so that loading it fails and says that it cannot be read
    return not entries or not all(name.startswith(TEMPORARY_PREFIX) for name in entries)
