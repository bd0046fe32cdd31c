"""Which windows run together: those of like lengths, always the same ones for the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Tokens in a batch. Not found by timing: the same batches in every run make the same answers, to the last bit.
BATCH_TOKENS = {"cpu": 512, "cuda": 16_384}


def batches_of(
    lengths: Sequence[int], most_tokens: int, computed_tokens: Callable[[int, int, int], int]
) -> list[list[int]]:
    """Return the numbers of the windows in each batch, the longest first, each of at most `most_tokens`.

    `computed_tokens` says what a number of windows, with so many tokens in all and in the longest, costs. A window
    that is longer than a batch runs by itself.
    """
    batches: list[list[int]] = []
    tokens = longest = 0
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        length = lengths[number]
        count = len(batches[-1]) + 1 if batches else 0
        if not batches or computed_tokens(count, tokens + length, longest) > most_tokens:
            batches.append([])
            tokens, longest = 0, length
        batches[-1].append(number)
        tokens += length
    return batches
