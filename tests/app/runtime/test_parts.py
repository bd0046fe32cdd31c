"""Batches in parts: no output is larger than it may be, and what is kept of wide rows is what the whole would give."""

import numpy as np
import pytest

from app.runtime.padding import Input, PaddedLayout
from app.runtime.parts import parts_of, run_in_parts, width_of
from app.window import Ranking, Window

WIDTH = 50


def window(rows, ranking=None):
    return Window(np.arange(10, dtype=np.int64), np.arange(rows, dtype=np.int64), ranking=ranking)


def test_parts_are_bounded_but_for_a_single_window(monkeypatch):
    monkeypatch.setattr("app.runtime.parts.MOST_VALUES", 8 * WIDTH)
    windows = [window(rows) for rows in (3, 5, 1, 20, 2, 2, 2, 2, 2)]
    parts = list(parts_of(windows, WIDTH))
    assert [[len(w.head_rows) for w in part] for part in parts] == [[3, 5], [1], [20], [2, 2, 2, 2], [2]]
    assert [w for part in parts for w in part] == windows


def test_a_graph_that_answers_every_token_runs_in_smaller_parts(monkeypatch):
    monkeypatch.setattr("app.runtime.parts.MOST_VALUES", 25 * WIDTH)
    layout = PaddedLayout(dict.fromkeys(["input_ids"], Input()), 0)
    assert [len(part) for part in parts_of([window(1)] * 5, WIDTH, layout.rows_of)] == [2, 2, 1]


def test_narrow_outputs_run_as_one():
    windows = [window(512)] * 100
    assert [len(part) for part in parts_of(windows, 2)] == [100]


def test_outputs_come_in_order_with_what_is_kept(monkeypatch):
    monkeypatch.setattr("app.runtime.parts.MOST_VALUES", 4 * WIDTH)
    dice = np.random.default_rng(0)
    windows = [window(3), window(2, Ranking(5, 1.0)), window(1)]
    logits = {id(w): dice.normal(size=(len(w.head_rows), WIDTH)).astype(np.float32) for w in windows}
    whole, kept, last = run_in_parts(lambda part: [logits[id(w)] for w in part], windows, WIDTH)
    assert (whole == logits[id(windows[0])]).all()
    assert (last == logits[id(windows[2])]).all()
    assert kept.shape == (2, 10)


@pytest.mark.parametrize("best", [1, 7, WIDTH, 100])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_the_best_are_kept_with_their_shares_of_the_whole(best, temperature):
    rows = np.random.default_rng(1).normal(size=(4, WIDTH)).astype(np.float32) * 5
    kept = Ranking(best, temperature).keep(rows)
    shares = np.exp(rows / temperature) / np.exp(rows / temperature).sum(axis=1, keepdims=True)
    for row, share, numbers in zip(rows, shares, kept, strict=True):
        tokens, scores = np.split(numbers, 2)
        assert tokens.tolist() == np.argsort(-row)[:best].tolist()
        assert scores == pytest.approx(share[tokens.astype(int)], rel=1e-4)


def test_chosen_columns_are_kept_in_their_order():
    rows = np.random.default_rng(2).normal(size=(2, WIDTH)).astype(np.float32)
    columns = np.array([7, 3, 40])
    ranking = Ranking(2, 2.0, columns)
    total, logits = (kept := ranking.keep(rows))[:, :1], kept[:, 1:]
    assert kept.shape == (2, ranking.width)
    shares = np.exp(rows / 2) / np.exp(rows / 2).sum(axis=1, keepdims=True)
    assert np.exp(logits) / total == pytest.approx(shares[:, columns], rel=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("columns", [None, np.array([1])])
def test_a_row_that_is_not_finite_stays_so(bad, columns):
    rows = np.zeros((1, WIDTH), np.float32)
    rows[0, 20] = bad
    assert not np.isfinite(Ranking(3, 1.0, columns).keep(rows)).all()


@pytest.mark.parametrize(("shape", "width"), [(["rows", 7], 7), (["rows", "labels"], 1), ([], 1), (["rows", -1], 1)])
def test_the_width_is_what_the_graph_states(shape, width):
    assert width_of(shape) == width
