"""GitHub's workflows: against GitHub's schema, a linter of their security, and what CI runs here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)  # YAML 1.2, in which `on` is a word


@pytest.mark.parametrize("file", [*WORKFLOWS, GITHUB / "dependabot.yml"], ids=lambda file: file.name)
def test_it_is_what_github_allows(file):
    name = "dependabot" if file.name == "dependabot.yml" else "github-workflows"
    schema = json.loads((files("check_jsonschema") / f"builtin_schemas/vendor/{name}.json").read_text("utf-8"))
    Draft7Validator(schema).validate(load(file))


def test_zizmor_finds_nothing():
    zizmor = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    assert zizmor, "the extra `dev` has it"
    done = subprocess.run([zizmor, "--offline", "--quiet", str(GITHUB)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_commit(file):
    used = re.findall(r"uses: (.*)$", file.read_text("utf-8"), re.MULTILINE)
    assert used
    assert [line for line in used if not PINNED.match(line)] == []


def test_it_does_what_ci_does_here_on_every_python_that_is_promised():
    jobs = load(GITHUB / "workflows/ci.yml")["jobs"]
    assert [step["run"] for step in jobs["test"]["steps"] if "run" in step][-1] == "bash .ci/run"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    tested = jobs["test"]["strategy"]["matrix"]["python"]
    assert tested == [f"3.{minor}" for minor in range(int(oldest.partition(".")[2]), 15)]


def test_a_release_builds_and_checks_with_the_targets_of_make():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for file in WORKFLOWS:
        for words in re.findall(r"run: make (.*)$", file.read_text("utf-8"), re.MULTILINE):
            targets = [word for word in words.split() if re.fullmatch(r"[a-z-]+", word)]
            assert targets
            assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
