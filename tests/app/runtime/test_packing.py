"""A batch as arrays, by hand: the packed layout of our own graphs and the padded one of graphs exported by others."""

import numpy as np
import pytest

from app.runtime.grid import Grid
from app.runtime.packing import PackedBatch, PackedLayout
from app.runtime.padding import Input, PaddedLayout
from app.window import Window

EVERY_INPUT = tuple(sorted(PackedLayout.KNOWN))
DTYPES = {
    **dict.fromkeys(("attention_mask", "local_attention_mask", "single_window"), np.bool_),
    **dict.fromkeys(("token_offset", "cumulative_lengths"), np.int32),
}


def window(ids, rows=(0,), types=None):
    types = None if types is None else np.array(types, np.int64)
    return Window(np.array(ids, np.int64), np.array(rows, np.int64), types)


#                  rows 0, 1             rows 2, 3, 4                      row 5
WINDOWS = [window([10, 11]), window([20, 21, 22], rows=(2, 0), types=[0, 1, 1]), window([30], rows=())]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input_ids", [10, 11, 20, 21, 22, 30]),
        ("position_ids", [2, 3, 2, 3, 4, 2]),
        ("token_type_ids", [0, 0, 0, 1, 1, 0]),
        ("head_rows", [0, 4, 2]),
        ("token_windows", [0, 0, 1, 1, 1, 2]),
        ("window_lengths", [2, 3, 1]),
        ("single_window", False),
        ("pad_rows", [[2, 3, 4], [0, 1, 0], [5, 0, 0]]),
        ("unpad_rows", [3, 4, 0, 1, 2, 6]),
        ("attention_mask", [[[[1, 1, 1]] * 3], [[[1, 1, 0]] * 2 + [[0, 0, 1]]], [[[1, 0, 0]] + [[0, 1, 1]] * 2]]),
        (
            "local_attention_mask",
            [[[[1, 1, 0], [1, 1, 1], [0, 1, 1]]], [[[1, 1, 0]] * 2 + [[0, 0, 1]]], [[[1, 0, 0]] + [[0, 1, 1]] * 2]],
        ),
        ("token_offset", [[0, 1, 3], [4, 5, 6], [2, 7, 8]]),
        ("cumulative_lengths", [0, 2, 5, 6]),
    ],
)
def test_packed_arrays(name, expected):
    array = PackedLayout([name], position_offset=2, local_attention=1).feed(WINDOWS)[name]
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == DTYPES.get(name, np.int64)


def test_token_offset_is_as_the_operator_documents_it():
    """The example of com.microsoft.PackedMultiHeadAttention's description: lengths 1, 2 and 4 in a grid of 3 x 4."""
    batch = PackedBatch([window(range(n)) for n in (1, 2, 4)], 0)
    assert batch.token_offset().tolist() == [[0, 4, 5, 8], [9, 10, 11, 1], [2, 3, 6, 7]]
    assert batch.cumulative_lengths().tolist() == [0, 1, 3, 7]


MIXES = [(1,), (7,), (1, 1, 1), (3, 1, 4, 1, 5), (64, 1), (2, 30, 31, 1, 33, 17, 16)]


@pytest.mark.parametrize("lengths", MIXES, ids=str)
def test_padding_and_taking_it_away_again_is_nothing(lengths):
    batch = PackedBatch([window(range(100 * i, 100 * i + n)) for i, n in enumerate(lengths)], 0)
    grid = batch.input_ids()[batch.pad_rows()]  # (R, S)
    assert grid.shape[1] == max(lengths)
    np.testing.assert_array_equal(grid.ravel()[batch.unpad_rows()], batch.input_ids())


@pytest.mark.parametrize("lengths", MIXES, ids=str)
def test_a_token_attends_to_its_own_window_and_to_nothing_else(lengths):
    batch = PackedBatch([window(range(n)) for n in lengths], 0)
    rows, columns = np.divmod(batch.unpad_rows(), max(lengths))
    mask, owner = batch.attention_mask()[:, 0], np.repeat(np.arange(len(lengths)), lengths)
    for token, (row, column) in enumerate(zip(rows, columns, strict=True)):
        seen = [t for t in range(len(owner)) if rows[t] == row and mask[row, column, columns[t]]]
        assert seen == np.flatnonzero(owner == owner[token]).tolist()
        assert mask[row, column].sum() == len(seen)  # and to no padding


@pytest.mark.parametrize(
    ("lengths", "rows"),
    [
        ((5,), 1),
        ((5, 5), 2),
        ((48, 30, 16), 2),
        ((64, 17, 16, 16), 2),
        ((300, 128, 100, 16), 2),
        ((300, 128, 100, 28), 3),
        ((300, 140, 140), 3),
    ],
)
def test_short_windows_share_a_row_of_the_grid(lengths, rows):
    assert PackedBatch([window(range(n)) for n in lengths], 0).pad_rows().shape == (rows, max(lengths))


def test_a_window_is_summed_as_it_would_be_by_itself():
    """It begins where a vector of 16 floats does, and crosses a border of 128 keys only from the start of its row."""
    generator = np.random.default_rng(5)
    for _ in range(200):
        lengths = generator.integers(1, 400, generator.integers(1, 30)).tolist()
        grid = Grid.of(lengths)
        for slot, length in zip(grid.slots % grid.width, lengths, strict=True):
            assert slot % 16 == 0
            assert slot == 0 or slot // 128 == (slot + length - 1) // 128 or (slot % 128 == 0 and length <= 128)


def test_a_graph_gets_the_inputs_it_names_and_no_others():
    assert list(PackedLayout(["unpad_rows", "input_ids"], 0).feed(WINDOWS)) == ["unpad_rows", "input_ids"]
    assert list(PackedLayout(EVERY_INPUT, 0, 1).feed(WINDOWS)) == list(EVERY_INPUT)


@pytest.mark.parametrize(("names", "sizes"), [(("single_window",), [1, 1, 1]), ((), [9, 3, 3])])
def test_a_graph_with_a_branch_for_a_single_window_gets_no_grid_for_it(names, sizes):
    grid = ("attention_mask", "pad_rows", "unpad_rows")
    layout = PackedLayout([*grid, *names], 0)
    one, several = layout.feed(WINDOWS[1:2]), layout.feed(WINDOWS)
    assert [one[name].size for name in grid] == sizes
    assert [several[name].size for name in grid] == [27, 9, 6]
    for name in names:
        assert one[name]
        assert not several[name]


def test_a_single_window_needs_the_mask_of_local_attention_without_a_grid():
    names = ("single_window", "attention_mask", "local_attention_mask", "token_windows", "window_lengths")
    feed = PackedLayout(names, 0, 1).feed(WINDOWS[1:2])
    assert feed["single_window"]
    assert feed["attention_mask"].shape == (1, 1, 1, 1)
    assert feed["local_attention_mask"].tolist() == [[[[1, 1, 0], [1, 1, 1], [0, 1, 1]]]]
    assert feed["token_windows"].tolist() == [0, 0, 0]
    assert feed["window_lengths"].tolist() == [3]


@pytest.mark.parametrize("lengths", MIXES, ids=str)
@pytest.mark.parametrize("reach", [0, 2, 100])
def test_local_attention_sees_the_tokens_of_its_window_within_reach(lengths, reach):
    batch = PackedBatch([window(range(n)) for n in lengths], 0, reach)
    rows, columns = np.divmod(batch.unpad_rows(), max(lengths))
    mask = batch.local_attention_mask()[:, 0]
    first = np.repeat(batch.starts, lengths)
    for token, (row, column) in enumerate(zip(rows, columns, strict=True)):
        seen = [t for t in range(len(rows)) if rows[t] == row and mask[row, column, columns[t]]]
        assert seen == [t for t in range(len(rows)) if first[t] == first[token] and abs(t - token) <= reach]
        assert mask[row, column].sum() == len(seen)


def test_a_graph_of_local_attention_whose_manifest_does_not_say_how_far_is_refused():
    with pytest.raises(ValueError, match="the manifest no local_attention"):
        PackedLayout(["local_attention_mask"], 0)


def test_a_graph_without_head_rows_answers_a_row_for_each_window():
    layout = PackedLayout(["input_ids", "token_windows", "window_lengths"], 0)
    output = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert [part.tolist() for part in layout.split(output, WINDOWS)] == [[[0, 1]], [[2, 3]], [[4, 5]]]
    with pytest.raises(ValueError, match="answered 4 rows where 3"):
        layout.split(np.zeros((4, 2), np.float32), WINDOWS)


def test_packed_rows_go_back_to_their_windows():
    output = np.arange(6, dtype=np.float32).reshape(3, 2)
    parts = PackedLayout(EVERY_INPUT, 0, 1).split(output, WINDOWS)
    assert [part.tolist() for part in parts] == [[[0, 1]], [[2, 3], [4, 5]], []]


def test_padded_arrays():
    layout = PaddedLayout(dict.fromkeys(["input_ids", "attention_mask", "token_type_ids"], Input()), pad_id=9)
    feed = layout.feed(WINDOWS)
    assert feed["input_ids"].tolist() == [[10, 11, 9], [20, 21, 22], [30, 9, 9]]
    assert feed["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert feed["token_type_ids"].tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert list(PaddedLayout(dict.fromkeys(["input_ids"], Input()), 9).feed(WINDOWS)) == ["input_ids"]


def test_padded_rows_go_back_to_their_windows():
    layout = PaddedLayout(dict.fromkeys(["input_ids"], Input()), pad_id=9)
    tokens = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    assert [part.tolist() for part in layout.split(tokens, WINDOWS)] == [[[0]], [[5], [3]], []]
    texts = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert [part.tolist() for part in layout.split(texts, WINDOWS)] == [[[0, 1]], [[2, 3]], [[4, 5]]]


def test_computed_tokens_count_padding():
    assert PackedLayout(EVERY_INPUT, 0, 1).computed_tokens(windows=3, tokens=6, longest=3) == 6
    layout = PaddedLayout(dict.fromkeys(["input_ids", "attention_mask"], Input()), 9)
    assert layout.computed_tokens(windows=3, tokens=6, longest=3) == 9


@pytest.mark.parametrize("layout", [PackedLayout, PaddedLayout])
def test_a_graph_with_an_unknown_input_is_refused(layout):
    with pytest.raises(ValueError, match="pixel_values"):
        layout(["input_ids", "pixel_values"], 0)


@pytest.mark.parametrize(("layout", "names"), [(PackedLayout, ["head_rows"]), (PaddedLayout, {"input_ids": Input()})])
@pytest.mark.parametrize("rows", [2, 4])
def test_a_wrong_number_of_rows_is_refused(layout, names, rows):
    with pytest.raises(ValueError, match=rf"answered {rows} .* 3"):
        layout(names, 0).split(np.zeros((rows, 2), np.float32), WINDOWS)
