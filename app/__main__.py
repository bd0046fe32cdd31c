"""The command `roberta-serve`: `roberta-serve --help` lists its verbs."""

from __future__ import annotations

import sys

from app.command_line.command import interrupted
from app.command_line.output import standard_output
from app.commands.verbs import COMMAND


def main() -> None:
    """Run a verb, or serve where none is given."""
    try:
        with standard_output():
            COMMAND.run(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit(interrupted(COMMAND.name)) from None


if __name__ == "__main__":
    main()
