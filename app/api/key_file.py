"""The file of API keys: their names, digests, scopes and limits, as TOML. Of a key itself it holds only the SHA-256.

[search]                          # the name, as logs and metrics have it
sha256 = "9f86d081..."            # or a list of two, while clients move from one key to the next
scopes = ["predict", "metrics"]   # of predict, metrics and admin; predict where it is left out
requests_per_s = 50               # more are 429; as many may come at once
concurrent_requests = 8           # more are 429
highest_priority = 0              # a higher X-Priority counts as this one
"""

from __future__ import annotations

import hashlib
import re
import secrets
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

Scope = Literal["predict", "metrics", "admin"]

MOST_BYTES = 2**20  # of a file, which is read while requests wait
MOST_KEYS = 1000
SHORTEST_KEY = 22  # characters: 128 random bits in base64, too many to be guessed from a fast hash
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what may follow `Bearer`. Source: RFC 6750, section 2.1
PLACE = re.compile(r"\(at .*\)$")  # the end of each message of tomllib


class KeyFileError(Exception):
    """The file cannot be used. The message says where and why, without quoting what might be a key."""


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class KeyEntry(BaseModel):
    """What the file says of one key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sha256: Annotated[
        list[Digest],
        Field(min_length=1, max_length=8),
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
    ]
    scopes: list[Scope] = Field(default_factory=lambda: cast(list[Scope], ["predict"]), min_length=1)
    requests_per_s: float | None = Field(None, gt=0, le=1e6, allow_inf_nan=False)
    concurrent_requests: int | None = Field(None, ge=1)
    highest_priority: int = Field(10, ge=-10, le=10)


KEYS = TypeAdapter(Annotated[dict[Name, KeyEntry], Field(min_length=1, max_length=MOST_KEYS)])


def digest_of(key: bytes) -> bytes:
    """Return the SHA-256 of a key: keys are random, so that nothing slower is needed."""
    return hashlib.sha256(key).digest()


def read_key_file(path: Path) -> dict[str, KeyEntry]:
    """Return the entries by name, at least one. Raises `KeyFileError`."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise KeyFileError(f"is larger than {MOST_BYTES} bytes")
    try:
        entries = KEYS.validate_python(tomllib.loads(content.decode()))
    except UnicodeDecodeError:
        raise KeyFileError("is not UTF-8") from None
    except ValidationError as error:
        raise KeyFileError(explain(error)) from None
    except (ValueError, RecursionError) as error:  # tomllib's own is a ValueError, as is that of int for many digits
        place = PLACE.search(str(error))
        raise KeyFileError(f"is not TOML {place[0] if place else ''}".strip()) from None
    check_digests(entries)
    return entries


def explain(error: ValidationError) -> str:
    """Return a sentence on the first problem."""
    first = error.errors(include_url=False, include_input=False)[0]
    name, *fields = [str(part) for part in first["loc"]] or [""]
    if not name:
        return f"must have from 1 to {MOST_KEYS} keys"
    if "[key]" in fields:
        return "a name must be letters, digits, `-` and `_`, at most 64 of them"
    return f"{'.'.join([name, *fields])[:160]}: {first['msg']}"


def check_digests(entries: dict[str, KeyEntry]) -> None:
    owners: dict[str, str] = {}
    for name, entry in entries.items():
        for digest in entry.sha256:
            if owners.setdefault(digest, name) != name:
                raise KeyFileError(f"{owners[digest]} and {name} are the same key")


# --- Writing one ------------------------------------------------------------------------------------------------


def new_key() -> str:
    """Return a random key of 256 bits."""
    return f"rs_{secrets.token_urlsafe(32)}"


def check_strength(key: str) -> None:
    """Raise `ValueError` for a key that could be guessed, or that no client can send."""
    if not TOKEN.fullmatch(key):
        raise ValueError("a key may have letters, digits and - . _ ~ + / only, and = at its end")
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"a key needs at least {SHORTEST_KEY} random characters; `roberta-serve new-key` makes one")


def render_entry(name: str, key: str, fields: dict[str, Any]) -> str:
    """Return the lines of the file for one key. Raises `ValueError` where they would be refused."""
    check_strength(key)
    values = {"sha256": digest_of(key.encode()).hex()} | {f: v for f, v in fields.items() if v is not None}
    try:
        KEYS.validate_python({name: values})
    except ValidationError as error:
        raise ValueError(explain(error)) from None
    lines = [f"{field} = {render(value)}" for field, value in values.items()]
    return "\n".join([f"[{name}]", *lines]) + "\n"


def render(value: Any) -> str:
    """Render a value as TOML: texts here need no escaping."""
    if isinstance(value, list):
        return f"[{', '.join(map(render, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
