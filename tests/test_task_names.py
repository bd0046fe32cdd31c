"""A task is one module on either side: outside the folders of the tasks, no module knows a task by its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from app.api.browser import index_page
from app.tasks import TASKS

ROOT = Path(__file__).parents[1]
FOLDERS = ("app/tasks", "training/reading", "training/tasks")
NAMES = {name for task in TASKS.values() for name in (task.name, task.route, *getattr(task, "aliases", ()))}
FILES = {
    str(file.relative_to(ROOT)): file
    for package in ("app", "training")
    for file in sorted((ROOT / package).rglob("*.py"))
    if not any(file.is_relative_to(ROOT / folder) for folder in FOLDERS)
}
# Keys and columns of files, names of modules, and figures that are called as a task of ours is.
KEYS_OF_FILES = {
    "training/data/annotations/spacy.py": {"ner"},
    "training/data/columns.py": {"ner"},
    "training/data/pairing.py": {"similarity"},
    "training/fit/optimizer.py": {"embeddings"},
}


def names_in(source: str) -> set[str]:
    """Return the names of tasks that stand in a module as whole strings, those of prose aside."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    prose |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]
    return {node.value for node in strings if isinstance(node.value, str)} & NAMES


def test_a_name_is_found_where_code_uses_it_and_not_in_prose():
    assert names_in('X = {"ner": 1}') == {"ner"}
    assert names_in('def f(task: Literal["fill-mask"]): return task == "ner"') == {"fill-mask", "ner"}
    assert names_in('"""ner"""\nX = f"ner {1}" + "the task ner"') == set()


@pytest.mark.parametrize("file", FILES)
def test_a_module_knows_no_task_by_its_name(file):
    assert names_in(FILES[file].read_text(encoding="utf-8")) == KEYS_OF_FILES.get(file, set())


def test_the_page_knows_no_task_by_its_name():
    page = bytes(index_page().body).decode()
    assert not [
        name for name in NAMES for quote in "\"'`" if f"{quote}{name}{quote}" in page or f"/{name}{quote}" in page
    ]
