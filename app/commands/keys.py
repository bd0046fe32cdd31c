"""`roberta-serve new-key` and `hash-key`: entries for the file of API keys, made without the key in a command line."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser, Namespace
from typing import get_args

from app.api.key_file import Scope, new_key, render_entry


def make_key(arguments: list[str]) -> None:
    """Print the entry of a new random key on standard output, and the key itself, this once, on standard error."""
    options = read("new-key", "Make a random API key; `>> keys.toml` keeps its entry.", arguments)
    key = new_key()
    write_entry(options, key)
    sys.stderr.write(f"The key of {options.name}, which is stored nowhere:\n{key}\n")


def hash_key(arguments: list[str]) -> None:
    """Print the entry of a key that is typed, or comes on standard input."""
    options = read("hash-key", "Make the entry of a key that exists; it is read from standard input.", arguments)
    write_entry(options, getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.readline().strip())


def read(command: str, description: str, arguments: list[str]) -> Namespace:
    parser = ArgumentParser(f"roberta-serve {command}", description=description)
    parser.add_argument("name", help="the key's name in logs and metrics")
    parser.add_argument("--scopes", nargs="+", choices=get_args(Scope), help="predict, where not given")
    parser.add_argument("--requests-per-s", type=float, help="more are refused with 429; not given: any number")
    parser.add_argument("--concurrent-requests", type=int, help="more are refused with 429; not given: any number")
    parser.add_argument("--highest-priority", type=int, help="a higher X-Priority counts as this one; 10 if not given")
    return parser.parse_args(arguments)


def write_entry(options: Namespace, key: str) -> None:
    """Print an entry. Ends the command with a sentence where it would be refused."""
    fields = {name: value for name, value in vars(options).items() if name != "name"}
    try:
        sys.stdout.write(render_entry(options.name, key, fields))
    except ValueError as error:
        raise SystemExit(f"roberta-serve: {error}") from None
