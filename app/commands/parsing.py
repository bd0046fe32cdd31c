"""How verbs that are settings read their flags: from the command line, the environment and the file of settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from app.settings import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)


def parse(kind: type[SettingsT], arguments: Sequence[str]) -> SettingsT:
    """Read flags and environment. For each that is wrong, print a sentence, and end the command."""
    try:
        return CliApp.run(kind, list(arguments))
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            place = [".".join(map(str, problem["loc"]))] if problem["loc"] else []
            complain(": ".join([*place, problem["msg"].removeprefix("Value error, ")]))
    except SettingsError as error:
        complain(f'{error}; lists and tables are written as JSON, such as ["a", "b"]')
    raise SystemExit(2)


def complain(sentence: str) -> None:
    sys.stderr.write(f"roberta-serve: {sentence}\n")
