"""The limits of a key: a rate and requests in hand, exact in one process and over several."""

import pytest

from app.api.key_limits import shared_usage, usage_here


@pytest.fixture(params=["here", "shared"])
def usages(request, tmp_path):
    """Two views of the usage of one key: the same one, or those of two processes."""
    if request.param == "here":
        usage = usage_here()
        return usage, usage
    return tuple(shared_usage(tmp_path, "search", number, 2) for number in (0, 1))


def allowed(usages, rate, times):
    """Return how many of the requests at `times` are let in, asked in turns."""
    return sum(usages[number % 2].wait_s(rate, now) == 0 for number, now in enumerate(times))


@pytest.mark.parametrize(("rate", "at_once"), [(0.1, 1), (1, 1), (3, 3), (50, 50), (2.5, 2)])
def test_a_second_s_worth_may_come_at_once(usages, rate, at_once):
    assert allowed(usages, rate, [1000.0] * 200) == at_once


@pytest.mark.parametrize("rate", [0.5, 7, 100])
def test_a_rate_holds_over_time(usages, rate):
    times = [1000 + n / 1000 for n in range(20_000)]
    assert allowed(usages, rate, times) == pytest.approx(20 * rate + max(1, rate), abs=1.5)


@pytest.mark.parametrize("rate", [0.25, 3, 50])
def test_the_wait_is_true(usages, rate):
    while not (wait := usages[0].wait_s(rate, 1000.0)):
        pass
    assert usages[1].wait_s(rate, 1000 + wait - 1e-3) > 0
    assert usages[1].wait_s(rate, 1000 + wait) == 0


def test_a_higher_rate_counts_at_once(usages):
    usages[0].wait_s(0.001, 1000.0)
    assert usages[0].wait_s(0.001, 1000.0) == pytest.approx(1000)
    assert usages[0].wait_s(100, 1000.5) <= 0.01


def test_requests_in_hand_are_those_of_all(usages):
    for usage in (*usages, usages[0]):
        usage.begin()
    assert [usage.in_hand() for usage in usages] == [3, 3]
    usages[1].end()
    assert usages[0].in_hand() == 2


def test_a_process_that_replaces_another_has_nothing_in_hand(tmp_path):
    died, other = shared_usage(tmp_path, "search", 0, 2), shared_usage(tmp_path, "search", 1, 2)
    died.begin()
    other.begin()
    assert shared_usage(tmp_path, "search", 0, 2).in_hand() == 1


def test_keys_do_not_share_with_others(tmp_path):
    one, other = shared_usage(tmp_path, "search", 0, 1), shared_usage(tmp_path, "Search", 0, 1)
    one.begin()
    assert other.in_hand() == 0
