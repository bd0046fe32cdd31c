"""The command `roberta-serve`: `roberta-serve --help` lists its verbs."""

from __future__ import annotations

import sys

from app.commands.parsing import complain
from app.commands.verbs import VERBS, UnknownVerbError, choose_verb


def main() -> None:
    """Run a verb, or serve where none is given."""
    try:
        name, arguments = choose_verb(sys.argv[1:])
    except UnknownVerbError as error:
        complain(str(error))
        raise SystemExit(2) from None
    VERBS[name].run(arguments)


if __name__ == "__main__":
    main()
