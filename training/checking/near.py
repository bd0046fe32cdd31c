"""Pairs of texts that are almost equal: MinHash signatures of character 5-grams, in bands, then verified.

Source: Broder 1997, On the resemblance and containment of documents; Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3 (banding).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 5  # characters of a shingle
BANDS, ROWS = 16, 4  # two texts with resemblance 0.7 meet in a band with probability 0.99
THRESHOLD = 0.7  # share of the shingles of both that both have
ESTIMATE = 0.5  # share of equal values in the signatures; three standard deviations below the threshold
CHUNK = 100_000  # characters hashed at a time
BUCKET = 50  # texts of one bucket that are compared with each other

WORDS = re.compile(r"[\W_]+")

Hashes = NDArray[np.uint64]


def near_pairs(texts: Sequence[str]) -> list[tuple[int, int, float]]:
    """Return (index, later index, resemblance 0.7..1) of texts that are almost equal, the most alike first.

    Case and punctuation are left out; a text without letters or digits is like no other. Of more than 50 texts
    that look alike each is compared with the next 50 only.
    """
    bare = [WORDS.sub(" ", text.casefold()).strip() for text in texts]
    worded = [index for index, text in enumerate(bare) if text]
    shingled: list[Hashes] = []
    signatures = [np.empty((0, BANDS * ROWS), dtype=np.uint64)]
    for chunk in chunks_of([bare[index] for index in worded]):
        hashes, begins = shingles(chunk)
        shingled += np.split(hashes, begins[1:])
        signatures.append(minhash(hashes, begins))
    pairs = promising(np.concatenate(signatures))
    scored = [(worded[one], worded[other], resemblance(shingled[one], shingled[other])) for one, other in pairs]
    return sorted((pair for pair in scored if pair[2] >= THRESHOLD), key=lambda pair: -pair[2])


def chunks_of(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield consecutive texts, about 100,000 characters at a time."""
    start = size = 0
    for index, text in enumerate(texts, start=1):
        size += len(text)
        if size >= CHUNK or index == len(texts):
            yield texts[start:index]
            start, size = index, 0


def shingles(texts: Sequence[str]) -> tuple[Hashes, NDArray[np.int64]]:
    """Return a hash per shingle (n,) of all texts in a row, and where each text begins (texts,)."""
    padded = [f" {text} ".ljust(WIDTH) for text in texts]
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    count = len(points) - WIDTH + 1
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(WIDTH):
        hashes = hashes * np.uint64(1_000_003) + points[offset : offset + count]
    lengths = np.array([len(text) for text in padded])  # (texts,)
    ends = np.cumsum(lengths)
    own = np.arange(count) + WIDTH <= np.repeat(ends, lengths)[:count]  # shingles that do not run into the next text
    begins = np.concatenate([[0], np.cumsum(lengths - WIDTH + 1)[:-1]])
    return mixed(hashes[own]), begins


def mixed(hashes: Hashes) -> Hashes:
    """Spread the bits of a hash. Source: the finalizer of MurmurHash3."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(33))


def minhash(hashes: Hashes, begins: NDArray[np.int64]) -> Hashes:
    """Return (texts, 64): the least value of each of 64 hash functions over the shingles of a text."""
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
    terms = rng.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
    least = [
        np.minimum.reduceat((hashes * factor + term) >> np.uint64(16), begins)
        for factor, term in zip(factors, terms, strict=True)
    ]
    return np.stack(least, axis=1)


def promising(signatures: Hashes) -> list[tuple[int, int]]:
    """Return the candidates that agree in enough of their 64 values to be worth verifying."""
    pairs = np.array(sorted(candidates(signatures)), dtype=np.int64).reshape(-1, 2)
    chunks = np.array_split(pairs, len(pairs) // 10_000 + 1)
    agreeing = np.concatenate([(signatures[each[:, 0]] == signatures[each[:, 1]]).mean(axis=1) for each in chunks])
    return [(one, other) for one, other in pairs[agreeing >= ESTIMATE].tolist()]


def candidates(signatures: Hashes) -> set[tuple[int, int]]:
    """Return pairs of texts whose signatures (texts, 64) agree in a whole band."""
    pairs: set[tuple[int, int]] = set()
    for band in np.split(signatures, BANDS, axis=1):
        keys = np.zeros(len(band), dtype=np.uint64)
        for column in band.T:
            keys = mixed(keys * np.uint64(31) + column)
        order = np.argsort(keys, kind="stable")
        begins = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
        sizes = np.diff(begins, append=len(order))
        for begin, size in zip(begins[sizes > 1], sizes[sizes > 1], strict=True):
            bucket = order[begin : begin + size].tolist()
            pairs |= {(one, other) for i, one in enumerate(bucket) for other in bucket[i + 1 : i + 1 + BUCKET]}
    return pairs


def resemblance(one: Hashes, other: Hashes) -> float:
    shared = len(np.intersect1d(one, other))
    return shared / (len(np.unique(one)) + len(np.unique(other)) - shared)
