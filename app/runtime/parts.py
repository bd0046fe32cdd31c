"""Batches whose output would take much memory are computed in parts; of wide rows, only what is asked for is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from app.window import Floats, Window

MOST_VALUES = 2**22  # of one output: 16 MiB, 83 rows of RoBERTa's vocabulary


def head_rows_of(window: Window) -> int:
    return len(window.head_rows)


def run_in_parts(
    run: Callable[[Sequence[Window]], list[Floats]],
    windows: Sequence[Window],
    width: int,
    rows_of: Callable[[Window], int] = head_rows_of,
) -> list[Floats]:
    """Run windows, part by part, and return what is kept of each one's rows, which are `width` wide.

    `rows_of` is how many rows the graph computes for a window.
    """
    outputs: list[Floats] = []
    for part in parts_of(windows, width, rows_of):
        outputs += [
            rows if window.ranking is None else window.ranking.keep(rows)
            for rows, window in zip(run(part), part, strict=True)
        ]
    return outputs


def parts_of(
    windows: Sequence[Window], width: int, rows_of: Callable[[Window], int] = head_rows_of
) -> Iterator[Sequence[Window]]:
    """Cut a batch into runs of windows whose rows have at most `MOST_VALUES` values; one window always runs."""
    most = MOST_VALUES // width
    part: list[Window] = []
    rows = 0
    for window in windows:
        if part and rows + rows_of(window) > most:
            yield part
            part, rows = [], 0
        part.append(window)
        rows += rows_of(window)
    yield part


def width_of(shape: Sequence[int | str]) -> int:
    """Return the columns of an output of a graph, from the shape that the graph states; 1 where it states none."""
    width = shape[-1] if shape else 1
    return width if isinstance(width, int) and width > 0 else 1
