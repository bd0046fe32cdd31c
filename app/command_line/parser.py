"""argparse with errors of one sentence, which name what was probably meant."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any, NoReturn

from app import __version__
from app.command_line.near import did_you_mean

WRONG_FLAGS = 2  # exit code

CHOICE = re.compile(r"argument (?P<flag>.+): invalid choice: '(?P<given>.*)' \(choose from (?P<known>.+)\)")
MISSING = "the following arguments are required: "
ARGUMENT = re.compile(r"argument (?P<flag>[^:]+): (?P<problem>.+)")
INVALID = re.compile(r"invalid (int|float) value: (?P<given>.+)")
KINDS = {"int": "a whole number", "float": "a number"}


class Formatter(RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions; flags stand in one column, their help in another."""

    def __init__(self, prog: str, **kwargs: Any) -> None:
        super().__init__(prog, **{"max_help_position": 30} | kwargs)


class Parser(ArgumentParser):
    """The flags of one verb. `prog` is the command with its verb, such as `roberta-serve predict`."""

    def __init__(self, prog: str, description: str, epilog: str | None = None, **kwargs: Any) -> None:
        described = {"description": description, "epilog": epilog, "formatter_class": Formatter}
        super().__init__(prog, allow_abbrev=False, **described | kwargs)
        self.add_argument(
            "--version", action="version", version=f"{self.command} {__version__}", help="print the version"
        )

    @property
    def command(self) -> str:
        return self.prog.partition(" ")[0]

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Return the flags. An unknown one ends the command with the one that it is most like."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.refuse(unknown[0])
        return options

    def read(self, arguments: Sequence[str]) -> Any:
        """Return what the verb is given: its flags, or what a subclass makes of them."""
        return self.parse_args(arguments)

    def refuse(self, argument: str) -> NoReturn:
        """End the command, which has no such flag and takes no such argument."""
        if not argument.startswith("-"):
            self.error(f"{argument[:80]!r} is one argument too many")
        flag = argument.partition("=")[0]
        known = [name for name in self._option_string_actions if name.startswith("--")]
        self.error(f"there is no flag {flag[:80]}{did_you_mean(flag, known, f'`{self.prog} --help` lists them')}")

    def error(self, message: str) -> NoReturn:
        """End the command with a sentence on standard error, and the exit code of wrong flags."""
        self.exit(WRONG_FLAGS, f"{self.command}: {sentence_of(message, self.prog)}\n")


def sentence_of(message: str, prog: str) -> str:
    """Say in the words of this project what argparse says."""
    if found := CHOICE.fullmatch(message):
        known = [name.strip(" '") for name in found["known"].split(",")]
        return f"{found['flag']}: {found['given']!r} is none of {', '.join(known)}{did_you_mean(found['given'], known)}"
    if message.startswith(MISSING):
        return f"give {message.removeprefix(MISSING)}; `{prog} --help` says more"
    if (found := ARGUMENT.fullmatch(message)) is None:
        return message
    if number := INVALID.fullmatch(found["problem"]):
        return f"{found['flag']}: {number['given']} is not {KINDS[number[1]]}"
    return f"{found['flag']}: {found['problem'].replace('expected one argument', 'a value is missing')}"


def complain(command: str, sentence: str) -> None:
    """Say something to a person, on standard error."""
    sys.stderr.write(f"{command}: {sentence}\n")
