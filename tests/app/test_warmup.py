"""How many tokens a batch may have: by what was timed, and by the memory of a GPU."""

import pytest

from app.engine.cost import CostModel, Shape
from app.runtime.cuda import CudaOptions, CudaSession
from app.runtime.session import Session, SessionError
from app.warmup import choose_budget, largest_batches, warm_up_shapes


def test_a_gpu_is_timed_over_thousands_of_tokens_and_the_fit_recovers_its_cost():
    shapes = [Shape.of([length] * count) for count, length in warm_up_shapes("cuda", 512)]
    assert max(shape.tokens for shape in shapes) == 16_384
    true = CostModel(2e-3, 1e-6, 1e-10)
    fitted = CostModel.fit([(shape, true.predict(shape)) for shape in shapes])
    assert fitted.predict(Shape(30_000, 10**7)) == pytest.approx(true.predict(Shape(30_000, 10**7)), rel=1e-3)


def test_the_largest_batches_are_of_the_longest_and_of_the_shortest_windows():
    assert [(len(b), len(b[0])) for b in largest_batches(16_384, 512)] == [(32, 512), (1024, 16)]
    assert [(len(b), len(b[0])) for b in largest_batches(256, 512)] == [(1, 512), (16, 16)]


class LimitedSession(CudaSession):
    """A GPU on which batches up to a number of tokens fit."""

    def __init__(self, fits):
        self.fits, self.options, self.proved = fits, CudaOptions(gpus=(0,), runners=2), []

    def prove(self, windows):
        self.proved.append(sum(map(len, windows)))
        return self.proved[-1] <= self.fits


def test_a_budget_that_was_found_is_halved_until_it_fits():
    cost = CostModel(fixed=5e-3, per_token=1e-6)  # 20,000 tokens
    session = LimitedSession(6000)
    assert choose_budget(session, cost, 500, None) == 5000
    assert max(session.proved) == 20_000
    assert choose_budget(LimitedSession(10**6), cost, 500, None) == 20_000


def test_a_budget_that_was_set_or_cannot_be_less_is_an_error():
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 8192 tokens at once"):
        choose_budget(LimitedSession(6000), CostModel(), 512, 8192)
    with pytest.raises(SessionError, match="does not suffice for 2 batches of 192 tokens at once"):
        choose_budget(LimitedSession(100), CostModel(), 512, None)


def test_nothing_is_proved_on_a_cpu(fp32_bundle):
    assert choose_budget(Session(fp32_bundle, "fp32"), CostModel(), 64, 2048) == 2048
