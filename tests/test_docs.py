"""The reference names every setting, error code and series; the README's commands are the Makefile's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app import errors
from app.metrics import Metrics
from app.settings import Settings

ROOT = Path(__file__).parents[1]
CODES = [c.code for _, c in inspect.getmembers(errors, inspect.isclass) if "code" in vars(c)]
SERIES = [
    family.name for family in Metrics(CollectorRegistry()).registry.collect() if family.name.startswith("roberta")
]


@pytest.mark.parametrize("name", [*Settings.model_fields, *CODES, *SERIES])
def test_reference_is_complete(name):
    assert re.search(rf"`{name}(_total)?`", (ROOT / "docs/reference.md").read_text(encoding="utf-8"))


def test_make_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M)
