"""What a SentencePiece model file holds: its pieces and its table of characters. Only what a tokenizer needs is read.

Source of the field numbers: sentencepiece_model.proto of SentencePiece 0.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from app.bundle.files import read_file
from app.bundle.manifest import BundleError

MOST_BYTES = 64 * 2**20
MOST_PIECES = 2_000_000

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
PIECES, TRAINER, NORMALIZER = 1, 2, 3  # of the model
TEXT, SCORE, KIND = 1, 2, 3  # of a piece
MODEL_TYPE, UNIGRAM = 3, 1  # of the trainer's settings
CHARSMAP = 2  # of the normalizer's settings
CONTROL, USER_DEFINED = 3, 4  # kinds of pieces


class Piece(NamedTuple):
    """A piece of text, the logarithm of its probability, and its kind, such as `CONTROL`."""

    text: str
    score: float
    kind: int


class SentencePieces(NamedTuple):
    pieces: list[Piece]
    charsmap: bytes


def read_sentencepiece(path: Path) -> SentencePieces:
    """Read a model file. Raises `BundleError` for one that is no Unigram model of SentencePiece."""
    content = read_file(path, MOST_BYTES)
    pieces: list[Piece] = []
    charsmap, model_type = b"", UNIGRAM
    try:
        for number, value in fields(content):
            if number == PIECES and isinstance(value, bytes):
                pieces.append(read_piece(value))
                if len(pieces) > MOST_PIECES:
                    raise BundleError(f"{path.name} has more than {MOST_PIECES} pieces")
            elif number == TRAINER and isinstance(value, bytes):
                model_type = dict(fields(value)).get(MODEL_TYPE, UNIGRAM)
            elif number == NORMALIZER and isinstance(value, bytes):
                charsmap = dict(fields(value)).get(CHARSMAP, b"")
    except (IndexError, TypeError, ValueError, struct.error) as error:
        raise BundleError(f"{path.name} is no model of SentencePiece") from error
    if not pieces or model_type != UNIGRAM:
        raise BundleError(f"{path.name} is no Unigram model of SentencePiece; save the folder with a fast tokenizer")
    return SentencePieces(pieces, charsmap)


def read_piece(content: bytes) -> Piece:
    found = dict(fields(content))
    score = struct.unpack("<f", found.get(SCORE, bytes(4)))[0]
    return Piece(found.get(TEXT, b"").decode("utf-8"), score, found.get(KIND, 1))


def fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field of a message. Raises `IndexError` and `ValueError`."""
    at = 0
    while at < len(content):
        tag, at = varint(content, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = varint(content, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            length, at = varint(content, at)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise ValueError("a field of no known kind")
        if at + length > len(content):
            raise ValueError("a field that is longer than what holds it")
        yield tag >> 3, content[at : at + length]
        at += length


def varint(content: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place after it."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number that is too long")
