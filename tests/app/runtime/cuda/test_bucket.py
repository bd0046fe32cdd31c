"""A batch in arrays that are larger than it is: what a replayed CUDA graph reads."""

import numpy as np
import pytest

from app.runtime.cuda.bucket import Room
from app.runtime.packing import PackedLayout
from app.window import Window

NAMES = ("input_ids", "position_ids", "token_type_ids", "head_rows", "token_offset", "cumulative_lengths")
LAYOUT = PackedLayout(NAMES, position_offset=2)
ROOM = Room(tokens=16, windows=4, longest=8, rows=6)


def windows(*lengths, rows=1):
    return [Window(np.full(n, 7, np.int64), np.arange(rows)) for n in lengths]


def test_arrays_have_the_room_s_sizes_and_begin_with_the_batch():
    batch = [
        Window(np.array([10, 11]), np.array([1])),
        Window(np.array([20, 21, 22]), np.array([2, 0]), np.array([0, 1, 1])),
    ]
    feed = ROOM.furnish(LAYOUT.feed(batch))
    expected = {
        "input_ids": [10, 11, 20, 21, 22, *[0] * 11],
        "position_ids": [2, 3, 2, 3, 4, *[0] * 11],
        "token_type_ids": [0, 0, 0, 1, 1, *[0] * 11],
        "head_rows": [1, 4, 2, 0, 0, 0],
        "token_offset": [[0, 1, 8, 9, 10, 2, 3, 4], [5, 6, 7, *range(11, 16)], [*range(16, 24)], [*range(24, 32)]],
        "cumulative_lengths": [0, 2, 5, 5, 5],
    }
    assert list(feed) == list(NAMES)
    for name, array in feed.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("lengths", [(1,), (8, 8), (1, 2, 3, 4), (5, 1, 8)], ids=str)
def test_every_batch_that_it_holds_has_arrays_of_one_shape_and_type(lengths):
    whole = ROOM.furnish(LAYOUT.feed(windows(4, 4, 4, 4)))
    feed = ROOM.furnish(LAYOUT.feed(windows(*lengths)))
    assert {name: (a.shape, a.dtype) for name, a in feed.items()} == {n: (a.shape, a.dtype) for n, a in whole.items()}
    assert sorted(feed["token_offset"].ravel()) == list(range(4 * 8))


def test_a_batch_that_fills_it_is_left_as_it_is():
    exact = LAYOUT.feed(windows(8, 3, 3, 2, rows=1))
    feed = Room(tokens=16, windows=4, longest=8, rows=4).furnish(exact)
    for name, array in exact.items():
        np.testing.assert_array_equal(feed[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("batch", "fits"),
    [
        (windows(8, 8), True),
        (windows(8, 8, 1), False),
        (windows(1, 1, 1, 1), True),
        (windows(1, 1, 1, 1, 1), False),
        (windows(9), False),
        (windows(3, 3, rows=3), True),
        (windows(3, 4, rows=3) + windows(1), False),
    ],
    ids=["all tokens", "a token more", "all windows", "a window more", "too long", "all rows", "a row more"],
)
def test_it_holds_what_every_one_of_its_sizes_allows(batch, fits):
    assert ROOM.holds(batch) is fits
