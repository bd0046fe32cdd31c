"""How a batch is filled around its first window: by length, so that it is computed fast, or by when windows are due."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from app.engine.cost import Shape
from app.engine.queue import FillKey, Queue, QueuedRequest
from app.engine.work import QueuedWindow

MOST_PASSED = 32  # windows in a row that do not fit into a batch before it counts as full


def fill_by_length(queue: Queue, seed: QueuedWindow, now: float) -> list[QueuedWindow]:
    """Fill a batch around `seed`, rank by rank, with the windows nearest to it in length."""
    keys, items, end = queue.fill_keys[seed.ticket.lane], [seed], 0
    while end < len(keys):
        rank, start = keys[end].rank, end
        end = bisect_left(keys, (rank + 1, 0, 0))
        add_nearest(queue, items, keys[start:end], now)
    return items


def add_nearest(queue: Queue, items: list[QueuedWindow], keys: list[FillKey], now: float) -> None:
    """Add windows of one rank as far as they fit, those nearest in length to the first item first."""
    seed, lane, rank, end = items[0], items[0].ticket.lane, keys[0].rank, len(keys)
    tokens, longest = sum(item.length for item in items), max(item.length for item in items)
    head_rows, passed = sum(item.head_rows for item in items), 0
    at = rank, seed.length, seed.number
    below, above = bisect_left(keys, at) - 1, bisect_right(keys, at)
    while below >= 0 or above < end:
        take_below = above >= end or (
            below >= 0 and seed.length - keys[below].length <= keys[above].length - seed.length
        )
        _, length, number = keys[below if take_below else above]
        item = queue.windows[number]
        more = head_rows + item.head_rows
        cost = lane.computed_tokens(len(items) + 1, tokens + length, max(longest, length)) + lane.tokens_of(more)
        if cost > lane.max_batch_tokens and not item.head_rows:
            if take_below:
                break  # every window above is longer still
            above = end
            continue
        below, above = (below - 1, above) if take_below else (below, above + 1)
        if cost > lane.max_batch_tokens:  # another one may have fewer rows
            if (passed := passed + 1) >= MOST_PASSED:
                break
        elif item.ticket.deadline > now:
            items.append(item)
            tokens, longest, head_rows = tokens + length, max(longest, length), more


def fill_by_due(queue: Queue, first: QueuedRequest, now: float) -> list[QueuedWindow]:
    """Fill a batch with the windows of `first` and then of what its lane has to answer next.

    The batch ends before `first` is due, a slow one too, if its first window alone does.
    """
    lane, items = first.ticket.lane, [first.next]
    tokens, longest, head_rows = first.next.length, first.next.length, first.next.head_rows
    passed = 0
    for _, _, request in queue.by_due[lane]:
        if request.ticket.deadline <= now:
            continue
        for item in request.windows.values():
            if item is items[0]:
                continue
            more, most, rows = tokens + item.length, max(longest, item.length), head_rows + item.head_rows
            fits = lane.computed_tokens(len(items) + 1, more, most) + lane.tokens_of(rows) <= lane.max_batch_tokens
            seconds = lane.cost.predict_most(Shape(more, -(-more // most) * most**2, rows)) if fits else 0.0
            if fits and now + seconds <= first.ticket.deadline:
                items.append(item)
                tokens, longest, head_rows = more, most, rows
            elif (passed := passed + 1) >= MOST_PASSED:
                return items
    return items
