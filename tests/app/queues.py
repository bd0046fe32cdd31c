"""Schedulers without an engine for tests. The clock is an argument."""

import math

from app.engine.admission import Limits
from app.engine.cost import CostModel
from app.engine.scheduler import Scheduler
from tests.app.builders import make_ticket

SLOW = CostModel(per_token=0.01)  # a hundred tokens a second


def make_scheduler(tokens=1000, age=0.5, delay=0.0, runners=1, queue_s=math.inf):
    return Scheduler(Limits(tokens, age, delay, runners, queue_s, least_caution=1.0))


def admit(scheduler, lane, *lengths, now=0.0, **fields):
    ticket = make_ticket(lane, *lengths, arrival=now, **fields)
    scheduler.admit(ticket)
    return ticket


def run_next(scheduler, now):
    """Take the next batch, which ends at once for the scheduler."""
    batch = scheduler.next_batch(now)
    if batch is not None:
        scheduler.ended(batch)
    return batch


def lengths_of(batch):
    return [item.length for item in batch.items]


def state_of(scheduler):
    return scheduler.queued_tokens, scheduler.queued_requests, len(scheduler)


def runs_until(scheduler, ticket, now=0.0):
    """Return how long `ticket` takes, batches running one after the other for as long as their cost says."""
    while not ticket.finished:
        batch = scheduler.next_batch(now)
        now += sum(item.cost for item in batch.items)
        scheduler.ended(batch)
        for item in batch.items:
            item.ticket.fill(item.index, item.window.input_ids[:, None])
    return now - ticket.arrival
