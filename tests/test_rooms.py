"""What can be added has one room: outside the rooms of the tasks, no module knows a task by its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from app.tasks import TASKS

ROOT = Path(__file__).parents[1]
ROOMS = ("app/tasks", "training/tasks")
NAMES = {name for task in TASKS.values() for name in (task.name, task.route, *task.aliases)}
FILES = {
    str(file.relative_to(ROOT)): file
    for package in ("app", "training")
    for file in sorted((ROOT / package).rglob("*.py"))
    if not any(file.is_relative_to(ROOT / room) for room in ROOMS)
}

# Modules that still name tasks, and which. An entry that is no longer needed is an error: the list only shrinks.
STILL_NAMED: dict[str, set[str]] = {
    "training/checking/reading.py": {"fill-mask", "text-classification", "token-classification"},
    "training/commands/compressing.py": {"fill-mask"},
    "training/commands/evaluate.py": {"classification"},
    "training/commands/export.py": {"text-classification"},
    "training/commands/pretrain.py": {"fill-mask"},
    "training/config/sections.py": {
        "classification",
        "fill-mask",
        "ner",
        "text-classification",
        "token-classification",
    },
    "training/data/splits.py": {"fill-mask", "token-classification"},
    "training/encoders/heads.py": {"text-classification", "token-classification"},
    "training/evaluation/evaluate.py": {"fill-mask", "token-classification"},
    "training/evaluation/examples.py": {"fill-mask", "token-classification"},
    "training/evaluation/metrics.py": {"fill-mask", "token-classification"},
    "training/evaluation/page.py": {"fill-mask", "token-classification"},
    "training/evaluation/predict.py": {"fill-mask", "token-classification"},
    "training/evaluation/score.py": {"fill-mask", "token-classification"},
    "training/evaluation/served.py": {"fill-mask", "token-classification"},
    "training/evaluation/subjects.py": {"fill-mask", "text-classification"},
    "training/export/card.py": {"classify", "fill-mask", "ner", "text-classification", "token-classification"},
    "training/export/material.py": {"fill-mask"},
    "training/export/publish.py": {"fill-mask", "text-classification"},
    "training/export/verify.py": {"fill-mask", "text-classification"},
    "training/fit/bases.py": {"fill-mask"},
    "training/fit/finetune.py": {"fill-mask"},
    "training/fit/problems.py": {"text-classification", "token-classification"},
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
    assert names_in(FILES[file].read_text(encoding="utf-8")) == STILL_NAMED.get(file, set())


def test_the_list_of_those_that_still_do_names_no_file_that_is_gone():
    assert STILL_NAMED.keys() <= FILES.keys()


def test_the_page_knows_no_task_by_its_name():
    page = (ROOT / "app" / "api" / "index.html").read_text(encoding="utf-8")
    assert not [
        name for name in NAMES for quote in "\"'`" if f"{quote}{name}{quote}" in page or f"/{name}{quote}" in page
    ]
