"""Which model answers each route when a request names none: `models/defaults.json`, written by training."""

from __future__ import annotations

import json
from pathlib import Path

from app.bundle.files import read_file
from app.bundle.manifest import BundleError
from app.bundle.writing import replace_file

FILE = "defaults.json"
MOST_BYTES = 2**20


class DefaultsError(Exception):
    """The file cannot be used; the message is one sentence for a person."""


def read_defaults(models: Path) -> dict[str, str]:
    """Return a model's name for each route that has one. Raises `DefaultsError` when the file is not understood."""
    try:
        defaults = json.loads(read_file(models / FILE, MOST_BYTES).decode("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DefaultsError(f"{FILE} cannot be read as JSON: {reason}") from error
    except BundleError as error:
        raise DefaultsError(str(error)) from error
    if not isinstance(defaults, dict) or not all(isinstance(name, str) for name in defaults.values()):
        raise DefaultsError(f'{FILE} must be a table such as {{"classify": "sentiment"}}')
    return defaults


def set_default(models: Path, route: str, name: str) -> None:
    """Make a model the answer to a route; the file is replaced in one step."""
    defaults = read_defaults(models) | {route: name}
    replace_file(models / FILE, json.dumps(defaults, indent=2, sort_keys=True) + "\n")
