"""`roberta-serve new-key` and `hash-key`: entries for the file of API keys, made without the key in a command line."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace

from app.api.key_file import new_key, render_entry

FIELDS = ("scopes", "requests_per_s", "concurrent_requests", "highest_priority")  # of an entry, as flags have them


def make_key(options: Namespace) -> None:
    """Print the entry of a new random key on standard output, and the key itself, this once, on standard error."""
    key = new_key()
    write_entry(options, key)
    sys.stderr.write(f"The key of {options.name}, which is stored nowhere:\n{key}\n")


def hash_key(options: Namespace) -> None:
    """Print the entry of a key that is typed, or comes on standard input."""
    write_entry(options, getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.readline().strip())


def write_entry(options: Namespace, key: str) -> None:
    """Print an entry. Ends the command with a sentence where it would be refused."""
    fields = {name: value for name, value in vars(options).items() if name in FIELDS}
    try:
        sys.stdout.write(render_entry(options.name, key, fields))
    except ValueError as error:
        raise SystemExit(f"roberta-serve: {error}") from None
