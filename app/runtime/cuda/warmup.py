"""Before a GPU serves: the batches that are timed, captured as CUDA graphs, and run to prove that memory suffices."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from app.runtime.cuda.graphs import Bucket
from app.runtime.session import SessionError
from app.runtime.warmup import LEAST_WIDE, Compute, synthetic_windows
from app.window import Floats, Window

# (windows, tokens in each) to time: less than thousands of tokens do not fill a GPU, and its cost per token shows only
# beyond that.
TIMED_SHAPES = ((1, 8), (1, 128), (1, 512), (16, 32), (8, 512), (128, 32), (64, 128), (32, 512), (1024, 16), (128, 128))

CAPTURED_TOKENS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)  # tokens of the buckets to try
SHORTEST = 16  # tokens of the shortest windows that buckets hold in full, and that memory is proved with

# A replay is compared with a run by the fastest of some trials of each. Noise only makes a trial slower: the comparison
# ends as soon as the gain shows.
LEAST_TRIALS, MOST_TRIALS = 5, 15
LEAST_GAIN = 0.9  # share of the time of a run; a replay that takes more than this is not worth its memory


class Capturable(Protocol):
    """What small batches are captured for: `run` replays those that a captured bucket holds."""

    def run(self, windows: Sequence[Window]) -> list[Floats]: ...

    def run_uncaptured(self, windows: Sequence[Window]) -> list[Floats]: ...

    def capture(self, bucket: Bucket, windows: Sequence[Window]) -> None: ...

    def forget(self, bucket: Bucket) -> None: ...


def capture_small_batches(session: Capturable, max_length: int, *, tolerance: float) -> None:
    """Capture buckets of more and more tokens, up to the size at which a replay is no faster than a run.

    Each bucket is timed with the smallest batch that would use it. No other session may be opened, or run for the
    first time, meanwhile. Raises `SessionError` where an output of a replay differs by more than `tolerance` from that
    of a run.
    """
    width = session.run(synthetic_windows(1, min(SHORTEST, max_length)))[0].shape[-1]
    smallest = 1
    for tokens in CAPTURED_TOKENS:
        bucket = bucket_of(tokens, max_length, width)
        batch = distinct_windows(smallest, min(bucket.windows, smallest))
        session.capture(bucket, batch)
        if (drift := greatest_difference(session.run(batch), session.run_uncaptured(batch))) > tolerance:
            raise SessionError(f"a replay of {tokens} tokens differs by {drift:.4g} from a run")
        if not is_faster(session.run, session.run_uncaptured, batch):
            session.forget(bucket)
            break
        smallest = tokens + 1


def bucket_of(tokens: int, max_length: int, width: int) -> Bucket:
    """Return the bucket of so many tokens for a graph whose output has `width` columns.

    It has a head row for each token; where rows are as wide as a vocabulary, only one for each window.
    """
    longest = min(tokens, max_length)
    windows = -(-tokens // min(SHORTEST, longest))
    return Bucket(tokens, windows, longest, rows=windows if width >= LEAST_WIDE else tokens)


def distinct_windows(tokens: int, count: int) -> list[Window]:
    """Return windows of `tokens` tokens in all, nearly equal in length, each with other tokens than its neighbors."""
    lengths = [(tokens + i) // count for i in range(count)]
    return [Window(5 + (i + np.arange(length)) % 32, np.zeros(1, np.int64)) for i, length in enumerate(lengths)]


def greatest_difference(some: Sequence[Floats], others: Sequence[Floats]) -> float:
    """Return by how much two answers to the same windows differ; infinite where one is not a number."""
    difference = float(np.max([np.abs(a - b).max() for a, b in zip(some, others, strict=True)]))
    return np.inf if np.isnan(difference) else difference


def is_faster(other: Compute, usual: Compute, windows: Sequence[Window]) -> bool:
    """Whether `other` takes at most `LEAST_GAIN` of the time of `usual`; trials of both alternate."""
    fastest: dict[Callable[[Sequence[Window]], object], float] = {other: float("inf"), usual: float("inf")}
    for trial in range(1, MOST_TRIALS + 1):
        for compute in (usual, other):
            started = time.perf_counter()
            compute(windows)
            fastest[compute] = min(fastest[compute], time.perf_counter() - started)
        if trial >= LEAST_TRIALS and fastest[other] <= LEAST_GAIN * fastest[usual]:
            return True
    return False


def largest_batches(budget: int, max_length: int) -> list[Sequence[Window]]:
    """Return the batches of `budget` tokens that need most memory: one of the longest windows, for attention, and one
    of the most windows, for the head.

    A window of `max_length` is tried even where that is more than the budget, because single windows always run.
    """
    lengths = (max_length, min(SHORTEST, max_length))
    return [synthetic_windows(max(1, budget // length), length) for length in lengths]
