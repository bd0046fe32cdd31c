"""The card of a start at a terminal: nothing that a bundle says acts on the terminal."""

import os
import sys
from types import SimpleNamespace

import pytest

from app.api.start_card import card, command_pid
from app.serving.registry import Entry
from app.settings import Settings
from tests.app.builders import make_graph, make_manifest

CLEAR, CLEARED = "\x1b[2J\u202e\n", "\\x1b[2J\\u202e\\n"


def entry_of():
    manifest = make_manifest(graphs={"fp32": make_graph(metrics={f"f1{CLEAR}": 0.5})})
    task = SimpleNamespace(route="classify", example={"text": "a"})
    model = SimpleNamespace(id="toy:1", precision="fp32", task=task, bundle=SimpleNamespace(manifest=manifest))
    return Entry("toy", model, {2: f"no label {CLEAR}"})


def test_what_a_bundle_says_is_escaped():
    registry = SimpleNamespace(entries=[entry_of()], table=SimpleNamespace(problems=(f"no folder {CLEAR}",)))
    service = SimpleNamespace(registry=registry, backend=SimpleNamespace(device="cpu"), settings=Settings())
    lines = card(service, "http://localhost:8000", 1.0)
    text = "\n".join(lines)
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert text.count(CLEARED) == 3
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "is_own"),
    [
        (["python", "-m", "app.processes", "worker"], False),
        (["python", "-m", "app", "serve", "--models", "app.processes"], True),
        (["python", "/opt/app.processes/roberta-serve"], True),
    ],
)
def test_the_command_is_the_supervisor_of_a_process_of_several_alone(arguments, is_own, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", arguments)
    assert command_pid() == (os.getpid() if is_own else os.getppid())
