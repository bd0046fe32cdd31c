"""Who may enter the queue, and who is refused before any work."""

import contextlib

import pytest

from app.engine.cost import CostModel
from app.errors import DeadlineUnmeetableError, QueueFullError, RequestTooLargeError
from tests.app.builders import make_lane
from tests.app.queues import SLOW, admit, make_scheduler, runs_until, state_of

# --- Admission ------------------------------------------------------------------------------------------


def test_a_request_is_admitted_whole_or_not_at_all():
    scheduler, lane = make_scheduler(tokens=100), make_lane()
    admit(scheduler, lane, 60)
    with pytest.raises(QueueFullError):
        admit(scheduler, lane, 30, 11)
    assert state_of(scheduler) == (60, 1, 1)
    admit(scheduler, lane, 30, 10)
    assert state_of(scheduler) == (100, 2, 3)


def test_a_full_queue_says_when_it_will_have_run():
    scheduler, lane = make_scheduler(tokens=100, runners=2), make_lane(cost=SLOW)
    admit(scheduler, lane, 80)
    with pytest.raises(QueueFullError) as refused:
        admit(scheduler, lane, 30)
    assert refused.value.retry_after_s == pytest.approx(80 * 0.01 / 2)


@pytest.mark.parametrize("queued", [0, 50])
def test_a_request_larger_than_the_queue_is_not_told_to_try_again(queued):
    scheduler, lane = make_scheduler(tokens=100), make_lane()
    if queued:
        admit(scheduler, lane, queued)
    with pytest.raises(RequestTooLargeError, match="101 tokens; at most 100"):
        admit(scheduler, lane, 51, 50)
    assert scheduler.queued_tokens == queued


@pytest.mark.parametrize(
    ("lengths", "runners", "expected"),
    [((10,), 1, 0.6 + 0.1), ((10, 10), 1, 0.6 + 0.2), ((10,), 2, 0.3 + 0.1), ((10, 10), 2, 0.3 + 0.1)],
)
def test_a_deadline_that_cannot_be_met_is_refused_before_any_work(lengths, runners, expected):
    """60 tokens that are due before, 0.6 s, wait on all runners; the request's own windows run side by side."""
    scheduler, lane = make_scheduler(runners=runners, age=0.0), make_lane(budget=10, cost=SLOW)
    admit(scheduler, lane, *[10] * 6, deadline=expected - 0.02)
    with pytest.raises(DeadlineUnmeetableError, match=f"about {expected:.2f} s"):
        admit(scheduler, lane, *lengths, deadline=expected - 0.01)
    assert state_of(scheduler) == (60, 1, 6)
    admit(scheduler, lane, *lengths, deadline=expected + 0.11)  # a batch may hold windows that are due later


@pytest.mark.parametrize("age", [0.05, 1e9])
def test_what_is_due_later_does_not_count_against_a_deadline(age):
    """Ten seconds are queued, all due later; the newcomer takes a tenth and waits for one at most."""
    scheduler, lane = make_scheduler(tokens=10**6, age=age), make_lane(budget=10, cost=SLOW)
    admit(scheduler, lane, *[10] * 100, deadline=30.0)
    with pytest.raises(DeadlineUnmeetableError, match=r"about 0\.10 s"):
        admit(scheduler, lane, 10, deadline=0.09)
    one = admit(scheduler, lane, 10, deadline=0.21)
    assert runs_until(scheduler, one) <= 0.21


def test_batches_in_hand_count_against_a_deadline():
    scheduler, lane = make_scheduler(), make_lane(budget=60, cost=SLOW)
    admit(scheduler, lane, 60)
    batch = scheduler.next_batch(0.0)
    with pytest.raises(DeadlineUnmeetableError, match=r"about 0\.70 s"):
        admit(scheduler, lane, 10, deadline=0.69)
    with pytest.raises(DeadlineUnmeetableError, match=r"about 0\.50 s"):
        admit(scheduler, lane, 10, now=0.2, deadline=0.69)
    scheduler.ended(batch)
    admit(scheduler, lane, 10, now=0.5, deadline=0.69)


def test_a_batch_that_runs_over_counts_as_about_to_end():
    scheduler, lane = make_scheduler(), make_lane(budget=60, cost=SLOW)
    admit(scheduler, lane, 60)
    scheduler.next_batch(0.0)
    admit(scheduler, lane, 10, now=5.0, deadline=5.11)


def test_a_free_runner_starts_a_request_whatever_the_others_have_in_hand():
    scheduler, lane = make_scheduler(runners=2), make_lane(budget=60, cost=SLOW)
    admit(scheduler, lane, 60)
    scheduler.next_batch(0.0)
    admit(scheduler, lane, 10, deadline=0.11)


def test_a_newcomer_makes_nothing_late_that_was_accepted():
    """0.5 s are due at 0.75; what is due before and takes as long is refused, though it could be answered itself."""
    scheduler, lane = make_scheduler(tokens=10**6), make_lane(budget=10, cost=SLOW)
    admit(scheduler, lane, *[10] * 5, deadline=0.75)
    with pytest.raises(DeadlineUnmeetableError):
        admit(scheduler, lane, *[10] * 3, deadline=0.6)
    admit(scheduler, lane, 10, deadline=0.6)


def test_a_request_without_windows_is_finished_at_once():
    scheduler = make_scheduler()
    ticket = admit(scheduler, make_lane())
    assert ticket.finished
    assert ticket.error is None
    assert state_of(scheduler) == (0, 0, 0)


def test_a_prediction_that_nothing_confirms_does_not_refuse_for_ever():
    """The correction was right once; since then nothing has run, because everything is refused."""
    scheduler, lane = make_scheduler(), make_lane(cost=CostModel(per_token=0.01, correction=50.0))
    for _ in range(1000):
        with contextlib.suppress(DeadlineUnmeetableError):
            admit(scheduler, lane, 10, deadline=0.5)
            return
    pytest.fail("every request was refused")


# --- The bound in seconds ----------------------------------------------------------------------------------


def test_the_work_ahead_is_bounded_in_seconds():
    scheduler, lane = make_scheduler(tokens=10**6, queue_s=1.0), make_lane(budget=10, cost=SLOW)
    for _ in range(11):
        admit(scheduler, lane, 10)
    with pytest.raises(QueueFullError) as refused:
        admit(scheduler, lane, 10)
    assert refused.value.retry_after_s == pytest.approx(1.1)


def test_a_request_is_never_refused_for_its_own_seconds():
    """Nor is a short one for those of a long one, with which it takes turns."""
    scheduler, lane = make_scheduler(tokens=10**6, queue_s=1.0), make_lane(budget=10, cost=SLOW)
    many = admit(scheduler, lane, *[10] * 500)
    one = admit(scheduler, lane, 10)
    with pytest.raises(QueueFullError):
        admit(scheduler, lane, *[10] * 200)
    runs_until(scheduler, one)
    assert not many.finished


def test_batches_in_hand_count_as_work_ahead():
    scheduler, lane = make_scheduler(queue_s=1.0), make_lane(budget=200, cost=SLOW)
    admit(scheduler, lane, 150)
    batch = scheduler.next_batch(0.0)
    with pytest.raises(QueueFullError):
        admit(scheduler, lane, 10, now=0.4)
    admit(scheduler, lane, 10, now=0.6)
    scheduler.ended(batch)
