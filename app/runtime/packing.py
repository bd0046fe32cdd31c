"""Batches as arrays: the packed layout of our own graphs. `app.runtime.padding` has that of graphs made by others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from operator import methodcaller
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.runtime.grid import Grid
from app.window import Floats, Ints, Window

Feed = dict[str, NDArray[np.generic]]


class Layout(Protocol):
    """Turns windows into a session's inputs, and its output back into one array per window.

    `of_one_length`: whether all windows of a feed must have one length.
    """

    of_one_length: bool

    def feed(self, windows: Sequence[Window]) -> Feed: ...

    def split(self, output: Floats, windows: Sequence[Window]) -> list[Floats]:
        """Return a (rows, width) array per window."""
        ...

    def rows_of(self, window: Window) -> int:
        """Return how many rows of output are computed for a window, at most."""
        ...

    def computed_tokens(self, windows: int, tokens: int, longest: int) -> int:
        """Return how many tokens, padding included, are computed for so many windows with `tokens` in all."""
        ...


class PackedBatch:
    """The arrays of one batch without padding, each made when a graph asks for it by name.

    In their shapes T is the number of tokens in all, B of windows, S of tokens in the longest window, N of head rows,
    and R of rows of S slots in attention's grid. Position ids start at `position_offset`: pad_id + 1 for RoBERTa (Liu
    et al. 2019, arXiv:1907.11692; fairseq's make_positions), 0 for BERT. `local_attention` is how many tokens to either
    side a layer of local attention sees.
    """

    def __init__(self, windows: Sequence[Window], position_offset: int, local_attention: int | None = None) -> None:
        self.windows, self.position_offset, self.local_attention = windows, position_offset, local_attention
        self.lengths = np.fromiter(map(len, windows), np.int64, len(windows))  # (B,)
        self.ends = np.cumsum(self.lengths)  # (B,)
        self.starts = self.ends - self.lengths  # (B,)

    @cached_property
    def columns(self) -> Ints:
        """(T,) the position of each token in its own window, from 0."""
        return np.arange(self.ends[-1]) - np.repeat(self.starts, self.lengths)

    @cached_property
    def grid(self) -> Grid:
        """Where each window is on attention's grid."""
        return Grid.of(self.lengths.tolist())

    @cached_property
    def token_slots(self) -> Ints:
        """(T,) the slot of the flattened grid that holds each token."""
        return self.columns + np.repeat(self.grid.slots, self.lengths)

    # --- Inputs of graphs ---------------------------------------------------------------------------------

    def input_ids(self) -> Ints:
        """(T,)"""
        return np.concatenate([window.input_ids for window in self.windows])

    def position_ids(self) -> Ints:
        """(T,)"""
        return self.columns + self.position_offset

    def token_type_ids(self) -> Ints:
        """(T,)"""
        zeros = (np.zeros(len(window), np.int64) for window in self.windows)
        return np.concatenate(
            [
                zero if w.token_type_ids is None else w.token_type_ids
                for w, zero in zip(self.windows, zeros, strict=True)
            ]
        )

    def head_rows(self) -> Ints:
        """(N,) rows of the packed tokens."""
        return np.concatenate([w.head_rows + start for w, start in zip(self.windows, self.starts, strict=True)])

    def token_windows(self) -> Ints:
        """(T,) the number of the window that each token belongs to."""
        return np.repeat(np.arange(len(self.windows)), self.lengths)

    def window_lengths(self) -> Ints:
        """(B,) the tokens of each window."""
        return self.lengths

    def pad_rows(self) -> Ints:
        """(R, S) the token row that each slot of the grid reads; padding slots read the first."""
        rows = np.zeros(self.grid.rows * self.grid.width, np.int64)
        rows[self.token_slots] = np.arange(len(self.token_slots))
        return rows.reshape(self.grid.rows, self.grid.width)

    def unpad_rows(self) -> Ints:
        """(T,) the slot of the flattened grid that holds each token."""
        return self.token_slots

    def attention_mask(self) -> NDArray[np.bool_]:
        """(R, 1, S, S) whether a query's slot and a key's slot hold tokens of one window."""
        owners = np.full(self.grid.rows * self.grid.width, -1)
        owners[self.token_slots] = self.token_windows()
        queries = owners.reshape(self.grid.rows, 1, self.grid.width, 1)
        same: NDArray[np.bool_] = queries == queries.transpose(0, 1, 3, 2)
        return same

    def local_attention_mask(self) -> NDArray[np.bool_]:
        """(R, 1, S, S) `attention_mask` where a query and a key are at most `local_attention` tokens apart."""
        return self.attention_mask() & self.nearby(self.grid.width)

    def nearby(self, slots: int) -> NDArray[np.bool_]:
        """(S, S) whether two of so many slots in a row are at most `local_attention` tokens apart."""
        assert self.local_attention is not None  # `PackedLayout` has checked that
        columns = np.arange(slots)
        near: NDArray[np.bool_] = np.abs(columns[:, None] - columns) <= self.local_attention
        return near

    def single_window(self) -> NDArray[np.bool_]:
        """() whether the batch is one window, whose attention does without the grid."""
        return np.array(False)

    def token_offset(self) -> NDArray[np.int32]:
        """(B, S) slots of tokens, then of padding; see `place_tokens`."""
        return place_tokens(self.lengths, int(self.lengths.max()))

    def cumulative_lengths(self) -> NDArray[np.int32]:
        """(B + 1,) where each window begins among the packed tokens, and T."""
        return np.concatenate([[0], self.ends]).astype(np.int32)


class SingleWindow(PackedBatch):
    """A batch of one window, for graphs that skip attention's grid in that case.

    The inputs that describe the grid are dummies. `local_attention_mask` is none: it is needed without a grid as well.
    """

    def single_window(self) -> NDArray[np.bool_]:
        return np.array(True)

    def pad_rows(self) -> Ints:
        """(1, 1)"""
        return np.zeros((1, 1), np.int64)

    def attention_mask(self) -> NDArray[np.bool_]:
        """(1, 1, 1, 1)"""
        return np.ones((1, 1, 1, 1), np.bool_)

    def unpad_rows(self) -> Ints:
        """(1,)"""
        return np.zeros(1, np.int64)

    def local_attention_mask(self) -> NDArray[np.bool_]:
        """(1, 1, T, T)"""
        return self.nearby(int(self.lengths[0]))[None, None]


def place_tokens(lengths: Ints, longest: int) -> NDArray[np.int32]:
    """Return (B, S) slots of a flattened grid with a row for each window: first those of tokens, then of padding.

    Source: the `token_offset` input of com.microsoft.PackedMultiHeadAttention.
    """
    ends = np.cumsum(lengths)
    shifts = np.arange(len(lengths)) * longest - (ends - lengths)  # from a token's row to its slot, by window
    slots = np.arange(ends[-1]) + np.repeat(shifts, lengths)
    is_padding = np.ones(len(lengths) * longest, np.bool_)
    is_padding[slots] = False
    return np.concatenate([slots, np.flatnonzero(is_padding)]).astype(np.int32).reshape(-1, longest)


class PackedLayout:
    """The layout of our own graphs: nothing is padded.

    A graph with the input `head_rows` answers one row for each of them; a graph without it, one row for each window.
    """

    KNOWN = frozenset(
        {
            "input_ids",
            "position_ids",
            "token_type_ids",
            "head_rows",
            "token_windows",
            "window_lengths",
            "pad_rows",
            "unpad_rows",
            "attention_mask",
            "local_attention_mask",
            "single_window",
            "token_offset",
            "cumulative_lengths",
        }
    )
    of_one_length = False
    GRID = frozenset({"pad_rows", "unpad_rows", "attention_mask", "local_attention_mask"})

    def __init__(self, input_names: Collection[str], position_offset: int, local_attention: int | None = None) -> None:
        if unknown := set(input_names) - self.KNOWN:
            raise ValueError(f"the graph has inputs that no packed batch provides: {', '.join(sorted(unknown))}")
        if "local_attention_mask" in input_names and local_attention is None:
            raise ValueError("the graph has the input local_attention_mask and the manifest no local_attention")
        self.position_offset, self.local_attention = position_offset, local_attention
        self.builders = {name: methodcaller(name) for name in input_names}
        self.has_head_rows = "head_rows" in self.builders
        self.has_grid = not self.GRID.isdisjoint(self.builders)
        self.of_one = SingleWindow if "single_window" in self.builders else PackedBatch

    def feed(self, windows: Sequence[Window]) -> Feed:
        kind = self.of_one if len(windows) == 1 else PackedBatch
        batch = kind(windows, self.position_offset, self.local_attention)
        return {name: build(batch) for name, build in self.builders.items()}

    def split(self, output: Floats, windows: Sequence[Window]) -> list[Floats]:
        """`output` has shape (N, width), the head rows of all windows one after the other, or (B, width)."""
        counts = (len(window.head_rows) if self.has_head_rows else 1 for window in windows)
        ends = list(accumulate(counts, initial=0))
        if len(output) != ends[-1]:
            raise ValueError(f"the graph answered {len(output)} rows where {ends[-1]} were asked for")
        return [output[start:end] for start, end in pairwise(ends)]

    def count_rows(self, windows: Sequence[Window]) -> int:
        """Return how many rows the graph answers for a batch."""
        return sum(len(window.head_rows) for window in windows) if self.has_head_rows else len(windows)

    def rows_of(self, window: Window) -> int:
        return len(window.head_rows)

    def computed_tokens(self, windows: int, tokens: int, longest: int) -> int:
        return tokens
