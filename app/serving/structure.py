"""How much a JSON body holds, found without parsing it: bytes are counted, outside of its texts where that matters.

Nothing here is validated; what is not JSON has some number of values as well.
"""

from __future__ import annotations

BEGIN_VALUES = b",:[{"
OTHER_BYTES = bytes(set(range(256)) - set(BEGIN_VALUES))
QUOTES_PER_VALUE = 4  # more than that, and a body has more values than are allowed: `"":"",` has four for two


def count_values(body: bytes, most: int) -> int:
    """Return the number of values, fields, lists and objects in a body; what is beyond `most` need not be exact."""
    at_most = sum(body.count(byte) for byte in BEGIN_VALUES)
    if at_most <= most:  # commas of texts included
        return at_most
    body = without_escapes(body)
    if (quotes := body.count(b'"')) > QUOTES_PER_VALUE * most:
        return quotes
    return len(outside_texts(body).translate(None, OTHER_BYTES))


def count_fields(body: bytes) -> int:
    """Return the number of fields in all objects of a body."""
    return outside_texts(without_escapes(body)).count(b":")


def without_escapes(body: bytes) -> bytes:
    """Return a body, every quote of which begins or ends a text. An escaped backslash escapes no quote."""
    if b"\\" not in body:
        return body
    return body.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")


def outside_texts(body: bytes) -> bytes:
    """Return what of a body without escapes stands outside of its texts."""
    return b"".join(body.split(b'"')[::2])
