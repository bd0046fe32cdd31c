"""Fetching from the Hub, or from a mirror of it, into the cache of huggingface_hub: the files that are needed only."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, ResolvedRevision, constants, get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import CachedRepoTreeNotFoundError, HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from app import __version__
from app.bundle.files import read_json
from app.hub.choosing import Choice
from app.hub.errors import HubError
from app.hub.events import Tell, at_intervals
from app.hub.integrity import Expected, broken_files
from app.hub.refusals import refusals_as_sentences

CONFIGS = ("config.json", "manifest.json")  # known before anything large is fetched
AT_ONCE = 4  # files
MIB = 2**20

Chooser = Callable[[Sequence[str], Mapping[str, object]], Choice]


@dataclass(frozen=True)
class Snapshot:
    """What of a repository is on disk, at one commit."""

    folder: Path
    commit: str
    choice: Choice


class Repository:
    """One repository at one revision. Every method raises `HubError`."""

    def __init__(self, name: str, revision: str, tell: Tell) -> None:
        self.name, self._tell = name, tell
        self._api = HfApi(library_name="roberta-serve", library_version=__version__)
        with refusals_as_sentences(name, revision):
            self._revision = self._resolve(revision)
            self._expected = self._list()

    @property
    def commit(self) -> str:
        return self._revision.resolved

    @property
    def files(self) -> list[str]:
        return list(self._expected)

    def _resolve(self, revision: str) -> ResolvedRevision:
        """Return the commit of a revision: as the Hub says, or as the cache does where the Hub cannot be asked."""
        try:
            return self._api.resolve_revision(self.name, revision=revision)
        except RevisionNotFoundError:
            raise
        except HfHubHTTPError as error:  # refused, but perhaps fetched before
            with suppress(Exception):
                cached = self._api.resolve_revision(self.name, revision=revision, local_files_only=True)
                self._tell("hub_refuses", repository=self.name, status=error.response.status_code, used=cached.resolved)
                return cached
            raise

    def _list(self) -> dict[str, Expected]:
        """Return what the commit has; from the cache, which keeps no hashes, where it was listed before."""
        try:
            cached = get_cached_repo_tree(self.name, revision=self._revision)
            return {file.path: Expected(file.size) for file in cached}
        except CachedRepoTreeNotFoundError:
            listing = self._api.list_repo_tree(self.name, recursive=True, revision=self._revision.resolved)
            return {file.path: expected_of(file) for file in listing if isinstance(file, RepoFile)}

    def describe(self) -> Mapping[str, object]:
        """Return the content of `config.json`; nothing where there is none."""
        wanted = [name for name in CONFIGS if name in self._expected]
        if "config.json" not in wanted:
            return {}
        return read_json(self.fetch(wanted) / "config.json")

    def fetch(self, files: Sequence[str]) -> Path:
        """Return the folder of the snapshot once it has these files, each as the Hub has it.

        One that is not is fetched once more.
        """
        with refusals_as_sentences(self.name, self._revision):
            folder = self._download(files)
        expected = {name: self._expected[name] for name in files}
        if not (broken := broken_files(folder, expected)):
            return folder
        self._tell("fetched_again", repository=self.name, files=broken, reason="not what the Hub has")
        for name in broken:
            remove(folder / name)
        with refusals_as_sentences(self.name, self._revision):
            folder = self._download(files)
        if broken := broken_files(folder, expected):
            for name in broken:
                remove(folder / name)
            raise HubError(
                f"{broken[0]} of {self.name} arrives altered or cut from {constants.ENDPOINT}: its size or hash is not "
                "the one announced; try again, and look for a proxy or mirror in between"
            )
        return folder

    def _download(self, files: Sequence[str]) -> Path:
        patterns = [glob.escape(name) for name in files]
        with at_intervals(self._say_progress):
            return Path(
                snapshot_download(
                    self.name, revision=self._revision, allow_patterns=patterns, max_workers=AT_ONCE,
                    library_name="roberta-serve", library_version=__version__,
                )
            )  # fmt: skip

    def announce(self, files: Sequence[str]) -> None:
        """Say what is about to be fetched."""
        size = sum(self._expected[name].size for name in files)
        fields = {"commit": self.commit, "files": len(files), "mib": round(size / MIB, 1)}
        self._tell("fetching", repository=self.name, **fields)

    def _say_progress(self) -> None:
        """Say how much is on disk, where no bar shows it."""
        if not sys.stderr.isatty():
            blobs = Path(constants.HF_HUB_CACHE) / f"models--{self.name.replace('/', '--')}" / "blobs"
            size = sum(size_of(path) for path in blobs.glob("*"))
            self._tell("fetching", repository=self.name, mib_on_disk=round(size / MIB, 1))


def expected_of(file: RepoFile) -> Expected:
    return Expected(file.size, file.blob_id if file.lfs is None else file.lfs.sha256)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # renamed meanwhile
        return 0


def remove(file: Path) -> None:
    """Remove a file of a snapshot with the blobs that it leads to."""
    chain = [file]
    while chain[-1].is_symlink():
        chain.append(chain[-1].parent / chain[-1].readlink())
    for path in chain:
        path.unlink(missing_ok=True)


def fetch(repository: Repository, choose: Chooser) -> Snapshot:
    """Fetch what is needed of a repository. Raises `HubError`."""
    choice = choose(repository.files, repository.describe())
    repository.announce(choice.files)
    return Snapshot(repository.fetch(choice.files), repository.commit, choice)
