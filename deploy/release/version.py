"""The version of everything: what stands in files, and what must be so before it may be raised."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
CODE = Path("app/__init__.py")
CHART = Path("deploy/kubernetes/roberta-serve/Chart.yaml")
CHANGES = Path("CHANGELOG.md")
# What is before the version in each file, and the version.
LINES = {
    CODE: re.compile(r'^(__version__ = )"[^"]*"$', re.MULTILINE),
    CHART: re.compile(r"^((?:app)?[vV]ersion: )\S+$", re.MULTILINE),
}


class ReleaseError(Exception):
    """Nothing can be released; the sentence says what to do."""


@dataclass(frozen=True)
class Repository:
    """A clone, in its root folder."""

    root: Path

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.root, capture_output=True, text=True)
        if done.returncode:
            raise ReleaseError(f"git {words[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def read(self, path: Path) -> str:
        return (self.root / path).read_text("utf-8")

    def write(self, texts: dict[Path, str]) -> None:
        for path, text in texts.items():
            (self.root / path).write_text(text, "utf-8")


def problem_of(repository: Repository, version: str) -> str | None:
    """Return why this version cannot be released now; None where it can."""
    if VERSION.fullmatch(version) is None:
        return f"{version!r} is no version: it has three numbers, such as 0.2.0"
    if repository.git("status", "--porcelain"):
        return "there are changes that are not committed: commit or stash them"
    if repository.git("tag", "--list", tag_of(version)):
        return f"{tag_of(version)} is there already: choose the next version"
    newest = max(map(numbers, released(repository)), default=(-1, -1, -1))
    if numbers(version) <= newest:
        return f"{version} is not above {'.'.join(map(str, newest))}, which was released: choose the next version"
    if section(repository.read(CHANGES), version) is None:
        return f"CHANGELOG.md has no section `## {version} (unreleased)`: write what has changed"
    return None


def released(repository: Repository) -> list[str]:
    return [tag[1:] for tag in repository.git("tag", "--list", "v*").split() if VERSION.fullmatch(tag[1:])]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def tag_of(version: str) -> str:
    return f"v{version}"


def section(changes: str, version: str) -> re.Match[str] | None:
    """Return the heading of a version that is not released yet."""
    return re.search(rf"^## {re.escape(version)} \(unreleased\)$", changes, re.MULTILINE)


def notes_of(changes: str, version: str) -> str:
    """Return what the changelog says of a version, without its heading."""
    found = re.search(rf"^## {re.escape(version)} \([^)]*\)\n(.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def raised(repository: Repository, version: str, today: date) -> dict[Path, str]:
    """Return the text of every file that names the version, with the new one."""
    texts = {path: repository.read(path) for path in (*LINES, CHANGES)}
    texts[CODE] = LINES[CODE].sub(rf'\g<1>"{version}"', texts[CODE])
    texts[CHART] = LINES[CHART].sub(rf"\g<1>{version}", texts[CHART])
    texts[CHANGES] = texts[CHANGES].replace(f"## {version} (unreleased)", f"## {version} ({today.isoformat()})", 1)
    return texts
