"""Codings of a request's body: what is compressed is decoded within the limit of a body that is not.

Source: RFC 9110, section 8.4; `deflate` is zlib's format, but some clients send the bare one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import brotli

from app.api.request import Headers
from app.errors import MalformedBodyError, RequestTooLargeError, UnsupportedCodingError

INLINE_BYTES = 2**15  # of a decoded body; a larger one is decoded on another thread
MOST_MEMBERS = 16  # of a gzip body, each with a head of its own
STEP_BYTES = 2**16
GZIP_BITS, ZLIB_BITS, BARE_BITS = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS

Decode = Callable[[bytes, int], bytes]


def coding_of(headers: Headers) -> str:
    """Return the coding of a body, one of `CODINGS`; empty where it has none. Raises `UnsupportedCodingError`."""
    named = headers.get(b"content-encoding", b"").decode("latin-1").lower().split(",")
    codings = [coding for each in named if (coding := each.strip()) not in ("", "identity")]
    if not codings:
        return ""
    if len(codings) > 1 or codings[0] not in CODINGS:
        raise UnsupportedCodingError
    return codings[0]


def decode(body: bytes, coding: str, limit: int) -> bytes:
    """Decode a body. Raises `RequestTooLargeError` beyond `limit` bytes, `MalformedBodyError` for another coding."""
    try:
        return CODINGS[coding](body, limit)
    except (zlib.error, brotli.error):
        raise MalformedBodyError(f"the body is not valid {coding}, as Content-Encoding announces") from None


def gunzip(body: bytes, limit: int) -> bytes:
    """Decode the members of a gzip body, which follow one another. Source: RFC 1952, section 2.2."""
    pieces: list[bytes] = []
    for _ in range(MOST_MEMBERS):
        piece, body = inflate(body, GZIP_BITS, limit - sum(map(len, pieces)), limit)
        pieces.append(piece)
        if not body:
            return b"".join(pieces)
    raise MalformedBodyError(f"the body has more than {MOST_MEMBERS} gzip members; send one")


def deflate(body: bytes, limit: int) -> bytes:
    has_head = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    decoded, rest = inflate(body, ZLIB_BITS if has_head else BARE_BITS, limit, limit)
    if rest:
        raise zlib.error
    return decoded


def inflate(body: bytes, bits: int, most: int, limit: int) -> tuple[bytes, bytes]:
    """Return what one stream decodes to, `most` bytes of the `limit` at most, and what follows it."""
    stream = zlib.decompressobj(bits)
    decoded = stream.decompress(body, most + 1)
    if len(decoded) > most:
        raise too_large(limit)
    if not stream.eof:
        raise zlib.error
    return decoded, stream.unused_data


def unbrotli(body: bytes, limit: int) -> bytes:
    stream, pieces, size = brotli.Decompressor(), [], 0
    rest = body
    while not stream.is_finished():
        piece = stream.process(rest, output_buffer_limit=STEP_BYTES)
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        if not piece and stream.can_accept_more_data() and not stream.is_finished():
            raise brotli.error
        pieces.append(piece)
        rest = b""
    return b"".join(pieces)


CODINGS: dict[str, Decode] = {"gzip": gunzip, "x-gzip": gunzip, "deflate": deflate, "br": unbrotli}


def too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"the body is larger than {limit} bytes once it is decoded")
