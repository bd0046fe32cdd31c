"""Batches of windows that hypothesis makes up, into arrays and back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.packing import PackedLayout
from app.runtime.padding import Input, PaddedLayout
from app.window import Window

PAD, OFFSET = 1, 2


@st.composite
def windows(draw):
    ids = draw(st.lists(st.integers(2, 60_000), min_size=1, max_size=40))
    rows = draw(st.lists(st.integers(0, len(ids) - 1), max_size=6, unique=True))
    types = draw(st.none() | st.lists(st.integers(0, 1), min_size=len(ids), max_size=len(ids)))
    return Window(np.array(ids), np.array(rows, np.int64), None if types is None else np.array(types))


BATCHES = st.lists(windows(), min_size=1, max_size=8)
GRAPH = ("input_ids", "position_ids", "token_type_ids", "head_rows", "token_windows", "pad_rows", "unpad_rows")


@given(batch=BATCHES)
def test_each_window_gets_its_own_rows_back(batch):
    """The graph of this test answers a row with its token id and its position."""
    layout = PackedLayout(GRAPH, OFFSET)
    feed = layout.feed(batch)
    rows = np.stack([feed["input_ids"], feed["position_ids"]], axis=1)[feed["head_rows"]].astype(np.float32)
    for window, answered in zip(batch, layout.split(rows, batch), strict=True):
        assert answered[:, 0].tolist() == window.input_ids[window.head_rows].tolist()
        assert answered[:, 1].tolist() == (window.head_rows + OFFSET).tolist()


@given(batch=BATCHES)
def test_the_grid_holds_every_token_once_and_windows_apart(batch):
    feed = PackedLayout((*GRAPH, "attention_mask"), OFFSET).feed(batch)
    total = sum(map(len, batch))
    slots, tokens = feed["unpad_rows"], feed["pad_rows"].reshape(-1)
    assert len(set(slots.tolist())) == total
    assert tokens[slots].tolist() == list(range(total))
    rows, _, width, _ = feed["attention_mask"].shape
    seen = feed["attention_mask"].reshape(rows, width, width)
    owner = dict(zip(slots.tolist(), feed["token_windows"].tolist(), strict=True))
    for one, own in owner.items():
        row, column = divmod(one, width)
        visible = {owner.get(row * width + other) for other in np.flatnonzero(seen[row, column]).tolist()}
        assert visible == {own}


@given(batch=BATCHES)
def test_padding_never_answers(batch):
    """The graph of this test answers a row with its token id and its mask."""
    layout = PaddedLayout(dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), Input()), PAD)
    feed = layout.feed(batch)
    output = np.stack([feed["input_ids"], feed["attention_mask"]], axis=2).astype(np.float32)
    assert feed["attention_mask"].sum() == sum(map(len, batch))
    for window, answered in zip(batch, layout.split(output, batch), strict=True):
        assert answered[:, 0].tolist() == window.input_ids[window.head_rows].tolist()
        assert (answered[:, 1] == 1).all()
