"""What warm-up learns of a head's rows, by a clock that the forward pass itself moves."""

import numpy as np
import pytest

from app.runtime import warmup
from app.runtime.warmup import LEAST_WIDE, measure_cost, measure_head_row

SHAPES = [(1, 8), (1, 32), (4, 16), (1, 64)]


class Machine:
    """A forward pass that takes 1 ms, and so many for each token and each row of the head."""

    def __init__(self, monkeypatch, width, token_ms, row_ms):
        self.width, self.token_ms, self.row_ms, self.now, self.rankings = width, token_ms, row_ms, 0.0, []
        monkeypatch.setattr(warmup.time, "perf_counter", lambda: self.now)

    def __call__(self, windows):
        rows = [len(window.head_rows) for window in windows]
        self.rankings += [window.ranking for window in windows]
        self.now += (1 + self.token_ms * sum(map(len, windows)) + self.row_ms * sum(rows)) / 1000
        return [np.zeros((count, self.width), np.float32) for count in rows]


@pytest.mark.parametrize("row_ms", [0.0, 0.5])
@pytest.mark.parametrize("width", [2, LEAST_WIDE])
def test_a_head_row_is_timed_with_what_is_kept_of_it(monkeypatch, width, row_ms):
    machine = Machine(monkeypatch, width, 0.1, row_ms)
    assert measure_head_row(machine, 32) == pytest.approx(row_ms / 1000)
    assert all((ranking is None) is (width < LEAST_WIDE) for ranking in machine.rankings[1:])


def test_the_cost_of_a_batch_has_all_its_parts(monkeypatch):
    cost = measure_cost(Machine(monkeypatch, 4, 0.1, 0.5), SHAPES)
    assert cost.per_head_row == pytest.approx(0.0005)
    assert cost.tokens_of(10) > 10


def test_a_model_of_windows_of_one_token_is_timed_too(monkeypatch):
    assert measure_head_row(Machine(monkeypatch, 4, 0.1, 0.5), 1) == 0.0
