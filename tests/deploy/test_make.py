"""`make serve` where `python3` is too old: a newer one is found, or the sentence says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOO_OLD = "#!/bin/sh\nexit 1\n"  # whatever it is asked
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def make(tmp_path):
    """Make `.venv/bin/python` in a folder whose PATH has the Pythons that are given, and no other."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "mkdir", "test", "echo"):
        (programs / name).symlink_to(shutil.which(name))

    def run(*words: str, **pythons: str) -> subprocess.CompletedProcess[str]:
        for name, script in pythons.items():
            (programs / name.replace("_", ".")).write_text(script)
            (programs / name.replace("_", ".")).chmod(0o755)
        line = [shutil.which("make"), "-f", str(ROOT / "Makefile"), ".venv/bin/python", *words]
        env = {name: value for name, value in os.environ.items() if name != "PYTHON"} | {"PATH": str(programs)}
        return subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


def newer(folder: Path) -> str:
    """Return a Python that notes what it is asked, but for whether it is new enough."""
    return f'#!/bin/sh\ncase "$*" in *venv*) echo "$*" > {folder}/asked;; esac\n'


def test_a_newer_python_is_taken_where_python3_is_too_old(make, tmp_path):
    done = make(python3=TOO_OLD, python3_12=newer(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text() == "-m venv --clear .venv\n"


def test_without_one_nothing_is_made_and_the_sentence_says_what_to_do(make, tmp_path):
    done = make(python3=TOO_OLD)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_one_that_is_named_and_too_old_is_refused(make, tmp_path):
    done = make("PYTHON=python3", python3=TOO_OLD)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr


def test_an_environment_of_an_older_python_is_made_anew_and_another_is_kept(make, tmp_path):
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(TOO_OLD)
    python.chmod(0o755)
    assert make(python3=newer(tmp_path)).returncode == 0
    assert (tmp_path / "asked").exists()
    (tmp_path / "asked").unlink()
    python.unlink()
    python.symlink_to(sys.executable)
    assert make(python3=newer(tmp_path)).returncode == 0
    assert not (tmp_path / "asked").exists()


@pytest.fixture
def audit(tmp_path):
    """Run `make audit` with a program in the place of pip-audit."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        tools = tmp_path / ".venv/tools/bin"
        tools.mkdir(parents=True)
        (tmp_path / ".venv/bin").mkdir()
        programs = {".venv/bin/python": "exit 0", ".venv/tools/ready": "", ".venv/tools/bin/pip-audit": script}
        for file, content in programs.items():  # the oldest first
            (tmp_path / file).write_text(f"#!/bin/sh\n{content}\n")
            (tmp_path / file).chmod(0o755)
        line = [shutil.which("make"), "-f", str(ROOT / "Makefile"), "audit"]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)

    return run


@pytest.mark.parametrize(
    "complaint",
    [
        "ERROR:pip_audit._cli:toy: Dependency not found on PyPI and could not be audited: toy (1.0)",
        "ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another service",
    ],
)
def test_an_audit_that_reaches_nobody_says_so_and_fails(audit, complaint):
    done = audit(f"echo 'WARNING: use hashes' >&2; echo '{complaint}' >&2; exit 1")
    assert done.returncode != 0
    assert "Nothing was audited" in done.stderr
    assert "WARNING" not in done.stderr


def test_an_audit_that_finds_something_shows_it_and_fails(audit):
    done = audit("echo 'toy 1.0 PYSEC-1 1.1'; echo 'Found 1 known vulnerability in 1 package' >&2; exit 1")
    assert done.returncode != 0
    assert "PYSEC-1" in done.stdout
    assert "Found 1 known" in done.stderr
    assert "Nothing was audited" not in done.stderr


def test_an_audit_that_finds_nothing_succeeds(audit):
    done = audit("echo 'No known vulnerabilities found' >&2")
    assert done.returncode == 0
    assert "No known" in done.stderr
