"""What other processes are told of the queue: they refuse nothing that the engine would take, and much of the rest."""

import random
from contextlib import suppress

import pytest

from app.engine.backlog import FRESH_S, MOST_POINTS, Price
from app.engine.cost import CostModel
from app.engine.work import Ticket
from app.errors import DeadlineUnmeetableError, QueueFullError, ServeError
from tests.app.builders import make_lane, make_ticket, window
from tests.app.queues import SLOW, admit, make_scheduler

NOW = 100.0


def check(backlog, lane, ticket, now=NOW):
    cost_s = Price.of(lane.cost, lane.max_batch_tokens).seconds(ticket.windows)
    backlog.check(now, ticket.deadline, ticket.priority, ticket.tokens, cost_s)


def test_a_short_queue_is_nothing_to_tell():
    scheduler, lane = make_scheduler(), make_lane(cost=SLOW)
    assert scheduler.backlog(NOW) is None
    admit(scheduler, lane, 5, now=NOW)
    assert scheduler.backlog(NOW) is None


def test_what_windows_cost_elsewhere_is_what_they_cost_here():
    cost = CostModel(fixed=0.01, per_token=0.002, per_cell=1e-6, correction=1.5, per_head_row=0.003)
    lane = make_lane(cost=cost, budget=200)
    windows = [window(7), window(90, head_rows=12), window(200)]
    expected = cost.correction * Ticket(lane, windows, 0.0, 1.0).cost
    assert Price.of(cost, 200).seconds(windows) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("limits", "deadline", "kind"),
    [
        ({"tokens": 1000}, NOW + 1e6, QueueFullError),
        ({"tokens": 10**6, "queue_s": 3.0}, NOW + 1e6, QueueFullError),
        ({"tokens": 10**6}, NOW + 5.0, DeadlineUnmeetableError),
    ],
    ids=["tokens", "seconds", "deadline"],
)
def test_what_others_have_filled_is_refused_with_the_engine_s_own_words(limits, deadline, kind):
    """Each token takes 10 ms; 950 wait."""
    scheduler, lane = make_scheduler(**limits), make_lane(cost=SLOW, budget=100)
    for _ in range(19):
        scheduler._queue.add(make_ticket(lane, 50, arrival=NOW, deadline=NOW + 1e5), NOW + 1e5)
    scheduler._queue.add(make_ticket(lane, 1, arrival=NOW, deadline=NOW + 4.9), NOW + 4.9)
    for _ in range(10):
        scheduler._queue.add(make_ticket(lane, 50, arrival=NOW, deadline=NOW + 4.9), NOW + 4.9)
    ticket = make_ticket(lane, 60, arrival=NOW, deadline=deadline)
    with pytest.raises(kind) as told:
        check(scheduler.backlog(NOW), lane, ticket)
    with pytest.raises(kind) as own:
        scheduler.admit(ticket)
    assert str(told.value).split()[:4] == str(own.value).split()[:4]
    assert told.value.retry_after_s == pytest.approx(own.value.retry_after_s)


def test_what_is_known_from_long_ago_refuses_nothing():
    scheduler, lane = make_scheduler(queue_s=0.1, tokens=10**6), make_lane(cost=SLOW)
    scheduler._queue.add(make_ticket(lane, *[50] * 40, arrival=NOW), 1e5)
    backlog, ticket = scheduler.backlog(NOW), make_ticket(lane, 50, arrival=NOW)
    with pytest.raises(QueueFullError):
        check(backlog, lane, ticket)
    check(backlog, lane, ticket, NOW + FRESH_S + 0.01)


def test_a_higher_priority_is_left_to_the_engine():
    scheduler, lane = make_scheduler(tokens=2000), make_lane(cost=SLOW)
    scheduler._queue.add(make_ticket(lane, *[50] * 40, arrival=NOW, deadline=NOW + 1e5), NOW + 1e5)
    urgent = make_ticket(lane, 50, arrival=NOW, deadline=NOW + 3.0, priority=1)
    check(scheduler.backlog(NOW), lane, urgent)
    scheduler.admit(urgent)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_refused_that_the_engine_would_take(seed):
    """Over queues that fill and empty, with batches in hand, and a moment after they were told of."""
    dice = random.Random(seed)
    limits = {"tokens": dice.choice([500, 10**6]), "queue_s": dice.choice([0.5, 3.0, 1e9]), "runners": 2}
    scheduler, now, refused, in_hand = make_scheduler(**limits), NOW, 0, []
    lanes = [make_lane(cost=CostModel(0.01, per_token, 1e-6), budget=64) for per_token in (0.001, 0.004)]
    for _ in range(400):
        now += dice.choice([0.0, 0.01, 0.03])
        in_hand = [batch for batch in in_hand if batch.running.ends > now or scheduler.ended(batch)]
        while len(in_hand) < 2 and (batch := scheduler.next_batch(now)) is not None:
            in_hand.append(batch)
        backlog, later, lane = scheduler.backlog(now), now + dice.choice([0.0, 0.0, 0.01]), dice.choice(lanes)
        lengths = [dice.randint(1, 60) for _ in range(dice.choice([1, 1, 1, 5]))]
        ticket = make_ticket(lane, *lengths, arrival=later, deadline=later + dice.choice([0.1, 0.5, 2.0, 30.0]))
        ticket.priority = dice.choice([0, 0, 0, 3, -3])
        told = None
        try:
            if backlog is not None:
                assert len(backlog.due) <= MOST_POINTS
                check(backlog, lane, ticket, later)
        except ServeError as error:
            told, refused = error, refused + 1
        if told is None:
            with suppress(ServeError):
                scheduler.admit(ticket)
        else:
            with pytest.raises((QueueFullError, DeadlineUnmeetableError)):
                scheduler.admit(ticket)
    assert refused
