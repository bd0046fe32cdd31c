"""The two packages are written alike: names, docstrings, and what a handler calls its exception."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(file for package in ("app", "training") for file in (ROOT / package).rglob("*.py"))
SOURCES = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES}
BRITISH = re.compile(
    r"\b\w*((?:quantis|optimis|tokenis|normalis|synchronis|serialis|initialis|recognis)(?:e|ing)|colour|behaviour"
    r"|neighbour|labelled)\w*",
    re.IGNORECASE,
)


def defined_names(tree: ast.Module) -> list[str]:
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    targets = [
        target
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return names + [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("name", SOURCES)
def test_modules_speak_one_dialect(name):
    source = SOURCES[name]
    tree = ast.parse(source)
    private = [each for each in defined_names(tree) if each.startswith("_") and not each.startswith("__")]
    assert private == [], "a module's functions and constants have plain names"
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)}
    assert "exc" not in caught, "an exception is caught `as error`"
    assert re.search(r"(?<!`)``(?!`)", source) is None, "code in prose stands in single backticks"
    assert BRITISH.search(source) is None, "the spelling is American"
    if any(not isinstance(node, ast.Expr) for node in tree.body) and not name.endswith("__init__.py"):
        assert "from __future__ import annotations" in source
