"""The verb `completion` of both commands: a script for the shell, which knows verbs, flags and their values."""

from __future__ import annotations

import sys
from argparse import Action, ArgumentParser, Namespace, _SubParsersAction
from typing import Any

import shtab

from app.command_line.command import Command
from app.command_line.parser import Parser

SHELLS = ("bash", "zsh", "fish")
INSTALLED = """  bash   {name} completion bash > ~/.local/share/bash-completion/completions/{name}
  zsh    {name} completion zsh > ~/.zfunc/_{name}      with ~/.zfunc in fpath, before compinit
  fish   {name} completion fish > ~/.config/fish/completions/{name}.fish"""
FOLDERS, FILES = ("FOLDER",), ("FILE", "INPUT")  # values that are paths


def completion_parser(command: str) -> Parser:
    described = f"Print a script that completes verbs, flags and values.\n\n{INSTALLED.format(name=command)}"
    parser = Parser(f"{command} completion", described)
    parser.add_argument("shell", choices=SHELLS, help="shell to complete in")
    return parser


def write_script(command: Command, options: Namespace) -> None:
    """Print the script for a shell."""
    root = Parser(command.name, command.description) if command.default is None else default_parser(command)
    root.prog = command.name
    with_paths(root)
    verbs: _SubParsersAction[ArgumentParser] = root.add_subparsers(metavar="VERB", parser_class=ArgumentParser)
    for name, verb in command.verbs.items():
        with_paths(parser := verb.parser())
        verbs.add_parser(name, parents=[parser], add_help=False, help=verb.summary)
    sys.stdout.write(shtab.complete(root, options.shell))


def default_parser(command: Command) -> Parser:
    assert command.default is not None
    return command.verbs[command.default].parser()


def with_paths(parser: ArgumentParser) -> None:
    """Say which values are paths."""
    for action in parser._actions:
        if (complete := path_kind(action)) is not None:
            action.complete = complete  # type: ignore[attr-defined]  # which shtab reads


def path_kind(action: Action) -> Any:
    if action.metavar in FOLDERS:
        return shtab.DIRECTORY
    return shtab.FILE if action.metavar in FILES else None
