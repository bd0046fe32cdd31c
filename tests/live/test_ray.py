"""The service on a real Ray cluster of two nodes on this machine: what is lost with a replica and with a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
LIMIT_S = 600  # on a machine that is busy with something else


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=LIMIT_S)


def rows_of(said: str) -> list[dict[str, Any]]:
    """Return what was measured; Ray says things beside it."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_nothing_is_lost_with_a_replica_nor_with_a_node(tiny_models):
    done = run("benchmarks.cluster", "check", "--models", str(tiny_models), "--clients", "8", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    contract, *faults = rows
    assert contract["differs"] == []
    assert [row["event"] for row in faults] == ["a replica is killed", "a node is killed"]
    for row in faults:
        assert row["lost"] == {}
        assert row["answered"] > 8


def test_files_are_answered_as_without_ray_although_a_node_is_lost(tiny_models):
    arguments = ["--models", str(tiny_models), "--model", "tiny-classify", "--files", "8", "--rows", "200"]
    done = run("benchmarks.cluster", "files", *arguments)
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(done.stdout)
    assert (row["exit"], row["differs"]) == (0, []), row
