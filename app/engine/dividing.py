"""A window whose head takes long becomes several passes: nothing interrupts a pass, and others wait for its end.

A row of the head depends on the tokens of its window and on no other row, so that the rows of several passes over the
same tokens are those of one. Each pass computes the tokens again, so that its rows take as long as they do, or more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from app.engine.work import Lane
from app.window import Floats, Window

PASS_S = 0.04  # that a pass is to take, as predicted


def divide(lane: Lane, windows: Sequence[Window], most_tokens: int) -> tuple[Sequence[Window], Sequence[int] | None]:
    """Return the windows to run, and how many of them each of the given ones has become; None where none was divided.

    None is where they would have more than `most_tokens` tokens in all: what fits into a queue is to fit divided.
    """
    if not lane.cost.per_head_row:
        return windows, None
    passes = [passes_of(lane, window) for window in windows]
    if all(count == 1 for count in passes):
        return windows, None
    if sum(count * len(window) for window, count in zip(windows, passes, strict=True)) > most_tokens:
        return windows, None
    parts: list[Window] = []
    for window, count in zip(windows, passes, strict=True):
        parts += divided(window, count)
    return parts, passes


def passes_of(lane: Lane, window: Window) -> int:
    """Return in how many passes the rows of a window are computed."""
    length, rows = len(window), len(window.head_rows)
    if rows <= 1 or lane.window_s(length, rows - 1) <= PASS_S:
        return 1
    tokens_s, row_s = lane.window_s(length), lane.cost.correction * lane.cost.per_head_row
    return ceil(rows / (1 + int(max(PASS_S - tokens_s, tokens_s) / row_s)))


def divided(window: Window, passes: int) -> Iterator[Window]:
    """Yield windows of the same tokens, each with its share of the head rows, in order."""
    if passes == 1:
        yield window
        return
    for rows in np.array_split(window.head_rows, passes):
        yield replace(window, head_rows=rows)


def joined(outputs: Sequence[Floats], passes: Sequence[int]) -> list[Floats]:
    """Return the (rows, width) of each window from those of its passes."""
    whole, parts = [], iter(outputs)
    for count in passes:
        each = [next(parts) for _ in range(count)]
        whole.append(each[0] if count == 1 else np.concatenate(each))
    return whole
