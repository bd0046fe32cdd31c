"""What a version consists of, in `dist/VERSION/`: wheel, sdist, chart, bills of materials, sums and signing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from deploy.release.version import CHANGES, CHART, ReleaseError, Repository, notes_of

LOCKS = ("cpu", "gpu", "train")
SUMS = "SHA256SUMS"


def run(words: Sequence[str | Path], root: Path) -> None:
    """Run a command, which prints for itself. Raises `ReleaseError`."""
    if subprocess.run([*map(str, words)], cwd=root, env=environment()).returncode:
        raise ReleaseError(f"`{' '.join(map(str, words))}` failed; what it printed stands above")


def environment() -> dict[str, str]:
    """Return the environment without what the make around this told its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "VERSION"}


def make_packages(repository: Repository, out: Path) -> None:
    """Build the sdist, and the wheel from it."""
    run([program("pyproject-build"), "--outdir", out], repository.root)
    shutil.rmtree(repository.root / "build", ignore_errors=True)


def make_bills(repository: Repository, out: Path) -> None:
    for lock in LOCKS:
        run(["deploy/image/sbom.sh", f"deploy/requirements/{lock}.txt", out / f"{lock}.cdx.json"], repository.root)


def make_chart(repository: Repository, out: Path, version: str) -> None:
    """Pack the chart as `helm package` does: one folder of its name, the files that are committed, links followed."""
    folder = CHART.parent
    with tarfile.open(out / f"{folder.name}-{version}.tgz", "w:gz", dereference=True) as archive:
        for name in repository.git("ls-files", str(folder)).splitlines():
            archive.add(repository.root / name, Path(folder.name) / Path(name).relative_to(folder))


def make_images(repository: Repository, targets: Sequence[str], engine: str) -> None:
    """Build the images, tagged with their targets; pushing gives them the version."""
    for target in targets:
        run(["make", "image", f"TARGET={target}", f"ENGINE={engine}"], repository.root)


def make_notes(repository: Repository, out: Path, version: str) -> None:
    (out / "NOTES.md").write_text(notes_of(repository.read(CHANGES), version) + "\n", "utf-8")


def make_sums(out: Path) -> None:
    """Write the SHA-256 of every file, as `sha256sum --check` reads it."""
    files = sorted(path for path in out.iterdir() if path.name not in (SUMS, "sign.sh"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / SUMS).write_text("".join(lines), "utf-8")


def make_signing(out: Path) -> None:
    """Write a script that signs the sums, and with them every file; signing itself asks who somebody is."""
    lines = [line for line, tool in SIGNING.items() if shutil.which(tool)] or [NOTHING_SIGNS]
    script = out / "sign.sh"
    script.write_text("\n".join([*HEAD, *lines, ""]), "utf-8")
    script.chmod(0o755)


HEAD = ("#!/bin/sh", "# Signs the sums of this folder.", "set -eu", 'cd "$(dirname "$0")"')
SIGNING = {
    f"cosign sign-blob --bundle {SUMS}.sigstore.json {SUMS}": "cosign",
    f"python -m sigstore sign {SUMS}": "sigstore",
    f"gpg --armor --detach-sign {SUMS}": "gpg",
}
NOTHING_SIGNS = "echo 'install cosign, the Python package sigstore, or gpg, and release anew' >&2; exit 1"


def program(name: str) -> str:
    """Return the path of a program of the tools. Raises `ReleaseError`."""
    if (path := shutil.which(name)) is None:
        raise ReleaseError(f"{name} is not installed: `make release` installs it")
    return path
