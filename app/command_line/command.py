"""A command with verbs: chooses the verb, reads its flags, and only then imports what it does."""

from __future__ import annotations

import pkgutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app import __version__
from app.command_line.near import did_you_mean
from app.command_line.parser import WRONG_FLAGS, Parser, complain

VERSION = "--version"
INTERRUPTED = 128 + signal.SIGINT  # exit code, as shells have it


class UnknownVerbError(Exception):
    """The message is one sentence for a person."""


class Verb(NamedTuple):
    """One verb. `flags` and `place` are `module:function`: that of a light module, which makes the parser of the flags,
    and that which does the work, given what the parser has read."""

    summary: str
    flags: str
    place: str

    def parser(self) -> Parser:
        make: Callable[[], Parser] = pkgutil.resolve_name(self.flags)
        return make()

    def run(self, arguments: Sequence[str]) -> Any:
        """Read flags and do the work; wrong flags end the command before anything heavy is imported."""
        options = self.parser().read(arguments)
        return pkgutil.resolve_name(self.place)(options)


@dataclass(frozen=True)
class Command:
    """A command. `default` is the verb of a command line without one; None: one must be given."""

    name: str
    description: str
    verbs: Mapping[str, Verb]
    default: str | None = None

    def run(self, arguments: Sequence[str]) -> Any:
        """Run a verb, and return what it returns. A verb that there is not ends the command with a sentence."""
        try:
            verb, rest = self.choose(arguments)
            return self.verbs[verb].run(rest)
        except UnknownVerbError as error:
            complain(self.name, str(error))
            raise SystemExit(WRONG_FLAGS) from None

    def choose(self, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
        """Return the verb of a command line, and the arguments after it. Raises `UnknownVerbError`."""
        first = arguments[0] if arguments else "--help"
        if first == VERSION:
            sys.stdout.write(f"{self.name} {__version__}\n")
            raise SystemExit(0)
        if self.default is not None and (not arguments or first.startswith("-")):
            return self.default, arguments
        if first.startswith("-"):
            self.explain(arguments or ["--help"])
        if first not in self.verbs:
            self.refuse(first)
        return first, arguments[1:]

    def refuse(self, verb: str) -> None:
        """Raise `UnknownVerbError`."""
        known = f"choose one of {', '.join(self.verbs)}"
        if self.default == "serve" and "/" in verb:
            known = f"{known}, or serve a model by --model {verb}"
        raise UnknownVerbError(f"there is no verb {verb!r}{did_you_mean(verb, self.verbs, known)}")

    def explain(self, arguments: Sequence[str]) -> None:
        """Print the help, or the version; end the command."""
        parser = Parser(self.name, f"{self.description}\n\n{self.list_verbs()}", usage=f"{self.name} VERB [FLAG ...]")
        parser.epilog = f"`{self.name} VERB --help` explains a verb."
        parser.parse_args(list(arguments))
        raise SystemExit(0)

    def list_verbs(self) -> str:
        """Return a line for each verb."""
        width = max(map(len, self.verbs))
        return "\n".join(f"  {name:{width}}  {verb.summary}" for name, verb in self.verbs.items())


def interrupted(command: str, sentence: str = "interrupted") -> int:
    """Say that the command was interrupted, and return its exit code. Further interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    complain(command, sentence)
    return INTERRUPTED
