"""The verbs of the command: each is named by --help, found by its name, and one that there is not is told of."""

import pkgutil
import sys

import pytest

from app.__main__ import main
from app.commands.verbs import COMMAND, VERBS


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["roberta-serve", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_help_names_every_verb_with_a_summary(monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"  {name} " in shown
        assert verb.summary in shown


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_there_and_explains_itself(name, monkeypatch, capsys):
    assert callable(pkgutil.resolve_name(VERBS[name].place))
    assert run(monkeypatch, name, "--help") == 0
    assert "roberta-serve" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--port", "0"], ["serve"], ["serve", "--port", "0"]], ids=str)
def test_a_command_without_a_verb_serves(arguments):
    assert COMMAND.choose(arguments) == ("serve", [a for a in arguments if a != "serve"])


def test_a_verb_that_there_is_not_ends_the_command_with_those_that_there_are(monkeypatch, capsys):
    assert run(monkeypatch, "teach") == 2
    assert "roberta-serve: there is no verb 'teach'; choose one of serve, predict, pull," in capsys.readouterr().err


def test_a_model_in_place_of_a_verb_says_how_to_serve_it(monkeypatch, capsys):
    assert run(monkeypatch, "acme/reviews") == 2
    assert "completion, or serve a model by --model acme/reviews" in capsys.readouterr().err
