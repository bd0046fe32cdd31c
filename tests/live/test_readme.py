"""The README's curl examples answer what the README says, and the reference has every field of a model."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.answers import assert_alike

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```console\n(\$ curl .*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"(http://)?(localhost|127\.0\.0\.1):8000")
TWO_DECIMALS = 0.01


class Example(NamedTuple):
    """A command, and the answer printed below it."""

    command: str
    answer: str


def examples() -> list[Example]:
    """Return every command of every block; a command goes on where its line ends with a backslash."""
    found = []
    for block in BLOCK.findall(README.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, answer = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", part, re.DOTALL).groups()
            found.append(Example(command, answer.strip()))
    return found


def run(example: Example, url: str) -> Any:
    """Run a command against `url` and read its answer as JSON."""
    line = ADDRESS.sub(url, example.command).replace("curl", "curl --silent --show-error", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.parametrize("route", ["/classify", "/ner", "/fill-mask"])
def test_every_endpoint_has_an_example(route):
    assert any(f":8000{route}" in example.command for example in examples())


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.command[:60])
def test_an_example_answers_what_the_readme_says(example, shipped):
    assert_alike(run(example, shipped.url), json.loads(example.answer), TWO_DECIMALS)


def test_the_reference_has_every_field_of_a_model(shipped):
    _, _, section = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8").partition("## What is served")
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    models = shipped.client.get("/models").json()["models"]
    shown = {name for model in models for name in model}
    assert shown <= documented
    assert documented - shown <= {"task_settings", "note", "refused", "source", "advice"}
    assert models[0] == shipped.client.get(f"/models/{models[0]['name']}").json()
