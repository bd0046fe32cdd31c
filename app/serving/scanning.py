"""What lies under the models folder: the folders of models and the names they are served by."""

from __future__ import annotations

from pathlib import Path

from app.bundle import TEMPORARY_PREFIX
from app.bundle.hub_cache import OTHER_PREFIXES, is_cached_repository, repository_of
from app.bundle.naming import slug

LOST_AND_FOUND = "lost+found"  # at the root of a mounted file system, readable by root only


class FolderAwayError(Exception):
    """The models folder is missing, no folder, or cannot be read. The message is a sentence for a person."""


def model_folders(models: Path) -> list[Path]:
    """Return the folders of models under the models folder, by name. Raises `FolderAwayError`."""
    try:
        return sorted(path for path in models.iterdir() if is_bundle(path))
    except FileNotFoundError:
        raise FolderAwayError("the models folder is missing") from None
    except NotADirectoryError:
        raise FolderAwayError("the models folder is not a folder") from None
    except OSError as error:
        raise FolderAwayError(f"the models folder cannot be read: {error.strerror}") from error


def is_bundle(path: Path) -> bool:
    """Whether a folder under `models/` is to be served: not a hidden one, nor one that is being written for the first
    time, nor what is no model in the cache of huggingface_hub."""
    if path.name.startswith((".", "_", *OTHER_PREFIXES)) or path.name == LOST_AND_FOUND or not path.is_dir():
        return False
    if is_shared_blobs(path):
        return False
    try:
        entries = [entry.name for entry in path.iterdir()]
    except OSError:
        return True  # so that loading it fails and says that it cannot be read
    return not entries or not all(name.startswith(TEMPORARY_PREFIX) for name in entries)


def is_shared_blobs(path: Path) -> bool:
    """Whether a folder has the blobs that all repositories of a cache share."""
    return path.name == "blobs" and (path / ".huggingface-shared-blobs").is_file()


def served_name(folder: Path) -> str:
    """Return the name that a folder's model is served by; the folder's own where no name can be made of it."""
    if is_cached_repository(folder) and (repository := repository_of(folder)) is not None:
        return slug(repository.rpartition("/")[2]) or folder.name
    return slug(folder.name) or folder.name
