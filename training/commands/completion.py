"""`roberta-train completion SHELL`."""

from __future__ import annotations

from argparse import Namespace
from functools import partial

from app.command_line.completion import completion_parser, write_script
from training.commands.verbs import COMMAND

make_parser = partial(completion_parser, COMMAND.name)


def run(options: Namespace) -> None:
    write_script(COMMAND, options)
