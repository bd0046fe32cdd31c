"""How many replicas the policy asks for."""

from types import SimpleNamespace

import pytest

from app.cluster.scaling import BUSY, QUEUE, ByQueue

POLICY = ByQueue(queue_target=1000, busy_target=0.5)


@pytest.mark.parametrize(
    ("queue", "busy", "running", "expected"),
    [
        ([0, 0], [0.5, 0.5], 2, 2),
        ([0, 0], [0.52, 0.5], 2, 2),  # near enough
        ([0, 0], [1.0, 1.0], 2, 4),
        ([3000, 1000], [0.1, 0.1], 2, 4),  # what waits decides
        ([0, 0, 0, 0], [0.1, 0.1, 0.1, 0.1], 4, 0.8),
        ([0], [1.0], 2, 3),  # one has not reported
        ([], [], 3, 3),
    ],
)
def test_replicas_follow_the_measure_that_is_farthest_above_its_target(queue, busy, running, expected):
    assert POLICY.replicas({QUEUE: queue, BUSY: busy}, running) == pytest.approx(expected)


def test_ray_is_answered_with_a_number_and_no_state():
    measured = {QUEUE: {"one": 0.0}, BUSY: {"one": 1.0}}
    context = SimpleNamespace(current_num_replicas=1, target_num_replicas=1, aggregated_metrics=measured)
    assert POLICY(context) == (2.0, {})


def test_without_replicas_the_target_stays():
    context = SimpleNamespace(current_num_replicas=0, target_num_replicas=1, aggregated_metrics=None)
    assert POLICY(context) == (1, {})
