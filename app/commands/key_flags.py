"""The flags of `roberta-serve new-key` and `hash-key`."""

from __future__ import annotations

from typing import get_args

from app.api.key_file import Scope
from app.command_line.parser import Parser


def new_key_parser() -> Parser:
    return key_parser("new-key", "Make a random API key; `>> keys.toml` keeps its entry.")


def hash_key_parser() -> Parser:
    return key_parser("hash-key", "Make the entry of a key that exists; it is read from standard input.")


def key_parser(verb: str, description: str) -> Parser:
    parser = Parser(f"roberta-serve {verb}", description)
    parser.add_argument("name", metavar="NAME", help="the key's name in logs and metrics")
    parser.add_argument("--scopes", nargs="+", choices=get_args(Scope), help="predict, where not given")
    parser.add_argument(
        "--requests-per-s", metavar="N", type=float, help="more are refused with 429; not given: any number"
    )
    parser.add_argument(
        "--concurrent-requests", metavar="N", type=int, help="more are refused with 429; not given: any number"
    )
    parser.add_argument(
        "--highest-priority", metavar="N", type=int, help="a higher X-Priority counts as this one; 10 if not given"
    )
    return parser
