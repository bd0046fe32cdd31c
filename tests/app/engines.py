"""Engines with real threads for tests, and forward passes that wait until they are opened."""

import asyncio
import threading
import time
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from app.engine.admission import Limits
from app.engine.engine import Engine
from app.metrics import Metrics
from tests.app.builders import echo, window

PATIENCE_S = 20.0  # of a test that would otherwise wait for ever
POISON = 666


class Gate:
    """A forward pass that waits until it is opened, so that later requests are queued."""

    def __init__(self):
        self.entered, self.open = threading.Event(), threading.Event()
        self.batches, self.idle_machine = [], []

    def __call__(self, windows, *, runner, idle_machine):
        self.idle_machine.append(idle_machine)
        self.batches.append([int(w.input_ids[0]) for w in windows])
        self.entered.set()
        assert self.open.wait(PATIENCE_S)
        return self.answer(windows)

    def answer(self, windows):
        return echo(windows)


class PoisonGate(Gate):
    """Fails on a window of the poison token."""

    def answer(self, windows):
        if any((w.input_ids == POISON).any() for w in windows):
            raise ValueError("a message that quotes the text")
        return echo(windows)


@contextmanager
def running(runners=1, *gates, **limits):
    """An engine that runs; the gates open before it stops."""
    engine = make_engine(runners, **limits)
    engine.start()
    try:
        yield engine
    finally:
        for gate in gates:
            gate.open.set()
        engine.stop()


def make_engine(runners=1, tokens=10_000, **limits):
    metrics = Metrics(CollectorRegistry())
    engine = Engine(Limits(tokens, max_queue_age_s=10.0, runners=runners, **limits), metrics)
    engine.metrics = metrics
    return engine


def submit(engine, lane, *windows, timeout_s=PATIENCE_S, **fields):
    return asyncio.create_task(engine.submit(lane, windows, deadline=time.monotonic() + timeout_s, **fields))


async def block(engine, lane):
    """Occupy the only runner with the lane's gate; return the task that waits for it."""
    task = submit(engine, lane, window(1, token=1))
    assert await asyncio.to_thread(lane.run.entered.wait, PATIENCE_S)
    return task


def value(engine, series):
    engine.report_queue()
    return engine.metrics.registry.get_sample_value(f"roberta_{series}")


def first_tokens(ticket):
    return [int(output[0, 0]) for output in ticket.outputs]


def play(scenario):
    return asyncio.run(asyncio.wait_for(scenario, PATIENCE_S))
