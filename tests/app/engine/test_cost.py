"""The cost model finds what batches cost, never answers less than nothing, and follows a machine that changes."""

import itertools

import numpy as np
import pytest

from app.engine.cost import GREATEST_BUDGET, LEAST_BUDGET, CostModel, Shape
from app.runtime.cpu.session import TIMED_SHAPES
from app.runtime.warmup import shortened

LENGTHS = [(8,), (32,), (16,) * 8, (128,), (32,) * 8, (256,), (128, 64), (512, 3)]


def measured(fixed, per_token, per_cell, noise=0.0):
    generator = np.random.default_rng(3)
    for lengths in LENGTHS:
        shape = Shape.of(lengths)
        seconds = fixed + per_token * shape.tokens + per_cell * shape.grid
        yield shape, seconds * (1 + noise * generator.uniform(-1, 1))


def test_a_shape_is_tokens_and_full_rows_as_long_as_the_longest():
    assert Shape.of([3, 5, 2]) == (10, 2 * 25, 0)
    assert Shape.of([3, 5, 2], 7) == (10, 2 * 25, 7)
    assert Shape.of([3, 5, 3]) == (11, 3 * 25, 0)


def test_fit_recovers_the_coefficients():
    model = CostModel.fit(list(measured(1e-3, 2e-5, 3e-8)))
    assert (model.fixed, model.per_token, model.per_cell) == pytest.approx((1e-3, 2e-5, 3e-8), rel=1e-6)


@pytest.mark.parametrize("truth", [(0, 2e-5, 0), (1e-3, 0, 0), (0, 0, 3e-8), (1e-3, 2e-5, 0)], ids=str)
def test_a_fit_to_noise_is_never_negative(truth):
    model = CostModel.fit(list(measured(*truth, noise=0.3)))
    assert min(model.fixed, model.per_token, model.per_cell) >= 0
    assert model.predict(Shape.of([64])) > 0


def test_times_that_fall_with_size_are_still_fitted():
    model = CostModel.fit([(Shape.of([n]), 1 / n) for n in (8, 64, 512)])
    assert min(model.fixed, model.per_token, model.per_cell) >= 0
    assert model.predict(Shape.of([8])) > 0


def test_the_warm_up_of_a_short_model_can_be_fitted():
    """With 8 tokens a window, several of the warm-up's shapes are one."""
    shapes = [Shape.of([length] * count) for count, length in shortened(TIMED_SHAPES, 8)]
    model = CostModel.fit([(shape, 1e-3 + 1e-5 * shape.tokens) for shape in shapes])
    assert model.predict(shapes[0]) == pytest.approx(1e-3 + 8e-5, rel=1e-3)


def test_refine_converges_to_a_slower_machine():
    model = CostModel(1e-3, 2e-5, 3e-8)
    for lengths in itertools.islice(itertools.cycle(LENGTHS), 300):
        shape = Shape.of(lengths)
        model.refine(shape, 2.5 * CostModel(1e-3, 2e-5, 3e-8).predict(shape))
    assert model.correction == pytest.approx(2.5, rel=1e-3)
    assert model.share(64) == pytest.approx(2.5 * (64 * 2e-5 + 64**2 * 3e-8), rel=1e-3)


def test_one_wild_batch_does_not_move_the_model_far():
    model = CostModel(per_token=1e-5)
    model.refine(Shape.of([100]), 3600.0)
    assert 1 < model.correction < 1.6


def test_small_batches_whose_fixed_cost_is_overestimated_do_not_sway_what_large_ones_take():
    model = CostModel(fixed=2e-4, per_token=1e-5)
    for _ in range(100):
        model.refine(Shape.of([16] * 32), 20 * 512e-5)
        model.refine(Shape.of([16]), 20 * 16e-5)  # less than half of what is predicted
    assert model.predict(Shape.of([16] * 32)) == pytest.approx(20 * 512e-5, rel=0.05)


def test_nearly_no_batch_takes_longer_than_what_is_predicted_at_most():
    generator = np.random.default_rng(4)
    model, shape, longer = CostModel(per_token=1e-5), Shape.of([100]), 0
    for ratio in generator.lognormal(0, 0.15, 500):
        longer += ratio * 1e-3 > model.predict_most(shape)
        model.refine(shape, ratio * 1e-3)
    assert longer < 25
    assert 1.1 < model.slowest < 1.6
    for _ in range(1000):
        model.refine(shape, 1e-3)
    assert model.slowest == pytest.approx(1.1, abs=0.02)


def test_refine_of_a_model_that_predicts_nothing_changes_nothing():
    model = CostModel()
    model.refine(Shape.of([100]), 1.0)
    assert model == CostModel()


@pytest.mark.parametrize(
    ("fixed", "per_token", "budget"),
    [
        (0.0, 1e-5, LEAST_BUDGET),
        (1e-3, 0.0, LEAST_BUDGET),  # nothing is known of a token's cost
        (5e-3, 2e-5, 1000),  # 5 ms is 25 % of the 20 ms that 1000 tokens take
        (100.0, 1e-5, GREATEST_BUDGET),
    ],
)
def test_the_token_budget_makes_the_fixed_cost_a_small_share(fixed, per_token, budget):
    assert CostModel(fixed, per_token).token_budget() == pytest.approx(budget, abs=1)
