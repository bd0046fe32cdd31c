"""An environment of its own for each peer, made once, with the versions of requirements-<peer>.txt beside this file."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path

DONE = "installed.txt"  # what the environment was made from; written last

log = logging.getLogger("benchmarks")


def requirements_of(peer: str) -> Path:
    return Path(__file__).with_name(f"requirements-{peer}.txt")


def python_of(peer: str, folder: Path) -> Path:
    """Return the Python of the environment of `peer` below `folder`, whether it is there or not."""
    return folder.absolute() / peer / "bin" / "python"


def install(peer: str, folder: Path) -> None:
    """Make the environment of `peer` below `folder`, unless it is there, made from the same requirements.

    Raises `subprocess.CalledProcessError` when pip fails.
    """
    home, wanted = folder / peer, requirements_of(peer).read_text()
    if (home / DONE).is_file() and (home / DONE).read_text() == wanted:
        return
    log.info("installing %s into %s: this takes minutes, and is done once", peer, home)
    started = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(python_of(peer, folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(requirements_of(peer))], check=True, stdout=sys.stderr)
    (home / DONE).write_text(wanted)
    log.info("installed %s in %.0f s", peer, time.monotonic() - started)


def version_of(peer: str, package: str) -> str:
    """Return the version of `package` that the requirements of `peer` pin."""
    for line in requirements_of(peer).read_text().splitlines():
        name, _, version = line.partition("==")
        if name == package:
            return version
    raise KeyError(f"{requirements_of(peer).name} does not pin {package}")
