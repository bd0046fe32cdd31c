"""What can be wrong with data; each message is one sentence that names the file and, where there is one, the line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import NoReturn

from training.errors import ExpectedError


class DataError(ExpectedError, ValueError):
    """Data that cannot be used; the message says where and what to do."""


class EncodingError(DataError):
    """Bytes that are not UTF-8."""


class MissingColumnError(DataError):
    """A row without a column that the recipe names."""


class MissingLabelError(DataError):
    """A row whose label is empty."""


class EmptyTextError(DataError):
    """A row whose text is empty, or is no text."""


class SpanError(DataError):
    """A marked span that is not in its text, or lies over another."""


class IllegalTagError(DataError):
    """A tag, or an order of tags, that the scheme does not have."""


Refuse = Callable[[DataError], None]  # takes what is wrong with a row; reading goes on when it returns


def stop(error: DataError) -> NoReturn:
    """Refuse by raising: the first row that cannot be used ends the reading."""
    raise error


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name most like another; empty when none resembles it."""
    lower = {each.lower(): each for each in names}
    matches = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    return lower[matches[0]] if matches else ""
