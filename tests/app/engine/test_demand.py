"""Work that is due by points: sums that are only made when somebody asks for them."""

import random

import pytest

from app.engine.demand import Demand
from tests.app.builders import make_lane

ROWS = [(make_lane(name="a"), 0), (make_lane(name="b"), 0), (make_lane(name="b"), 3)]


@pytest.mark.parametrize("ask_every", [1, 7, 300, 10_000])
def test_the_curve_is_that_of_all_work_whenever_it_is_asked_for(ask_every):
    """More points than there is space for at first, rows that come and go, and work that is taken out again."""
    demand, generator, expected = Demand(), random.Random(3), {}
    for step in range(2000):
        kept = list(expected)
        if kept and (generator.random() < 0.45 or step > 1900):
            key = generator.choice(kept)
            demand.add(*key, -expected.pop(key))
        else:
            key = generator.choice(ROWS), float(generator.randrange(step, step + 400))
            work = generator.randrange(1, 50)
            expected[key] = expected.get(key, 0) + work
            demand.add(*key, work)
        if step % ask_every == 0 or step > 1990:
            curve = demand.curve(lambda row: 1.0)
            for point in (0.0, step + 50.0, step + 200.0, 1e9):
                due = sum(work for (_, at), work in expected.items() if at <= point)
                assert curve.due_by(point) == pytest.approx(due)


def test_a_row_without_work_is_forgotten():
    demand, row = Demand(), ROWS[0]
    for point in range(1000):
        demand.add(row, float(point), 5)
        demand.add(row, float(point), -5)
    assert demand.totals == {}
    assert len(demand.curve(lambda row: 1.0).points) == 0


def test_a_point_where_nothing_is_due_any_more_limits_nothing():
    demand, row = Demand(), ROWS[0]
    for point, work in ((5.0, 2), (1.0, 1), (1.0, -1)):
        demand.add(row, point, work)
        curve = demand.curve(lambda row: 1.0)
    assert curve.points[0] == 1.0
    assert curve.first_below(0.0, 2.0) is None
    assert curve.least_from(0.0) == 3.0
