"""A session on the CPU: how it prepares itself, and that nothing of it stays when it is dropped."""

import gc
import weakref

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.bundle import read_bundle
from app.engine.cost import LEAST_BUDGET
from app.runtime.cpu import session as cpu
from app.runtime.cpu.idle_cores import FIRST_PAUSE, TRIAL, Pace
from app.runtime.cpu.session import CpuSession
from app.runtime.session import SessionError
from app.runtime.warmup import synthetic_windows


@pytest.fixture
def bundle(tiny_models):
    return read_bundle(tiny_models / "tiny-classify" / "1", name="tiny-classify", version=1)


def count_openings(monkeypatch):
    """Return a list of the threads of every graph that is opened for idle cores from now on."""
    asked, options = [], cpu.idle_options
    monkeypatch.setattr(cpu, "idle_options", lambda threads: asked.append(threads) or options(threads))
    return asked


def test_it_finds_its_cost_and_its_budget_unless_that_is_set(bundle):
    session = CpuSession(bundle, "int8")
    session.prepare(None)
    assert session.max_batch_tokens == session.cost.token_budget() >= LEAST_BUDGET
    assert session.cost.share(64) > 0
    cost = session.cost
    session.prepare(77)
    assert session.max_batch_tokens == 77
    assert session.cost is cost  # `tune` prepares a session once for each size, and batches need not be timed again


def test_both_ways_answer_the_same_and_only_batches_on_an_idle_machine_choose(bundle, monkeypatch):
    chosen, choose = [], Pace.choose
    monkeypatch.setattr(Pace, "choose", lambda self: chosen.append(choose(self)) or chosen[-1])
    session = CpuSession(bundle, "int8", idle_threads=2)
    session.prepare(None)
    windows = synthetic_windows(3, 20)
    (expected, *_) = session.run(windows)
    assert not chosen
    for _ in range(FIRST_PAUSE + TRIAL):
        (answer, *_) = session.run(windows, idle_machine=True)
        np.testing.assert_array_equal(answer, expected)
    assert set(chosen) == {True, False}


@pytest.mark.parametrize(("threads", "idle_threads", "opened"), [(1, 2, [2]), (1, 1, []), (2, 2, [])])
def test_the_graph_is_opened_for_idle_cores_where_those_are_more(threads, idle_threads, opened, bundle, monkeypatch):
    asked = count_openings(monkeypatch)
    session = CpuSession(bundle, "int8", threads, idle_threads=idle_threads)
    assert asked == []
    session.prepare(None)
    assert asked == opened


def test_a_graph_that_cannot_be_opened_twice_runs_on_few_cores(bundle, monkeypatch):
    session = CpuSession(bundle, "int8", idle_threads=2)

    def fails(*_):
        raise SessionError("no memory")

    monkeypatch.setattr(cpu, "open_graph", fails)
    with capture_logs() as logs:
        session.prepare(None)
    assert [line["event"] for line in logs] == ["idle_threads_not_used"]
    (answer,) = session.run(synthetic_windows(1, 8), idle_machine=True)
    np.testing.assert_array_equal(answer, session.run(synthetic_windows(1, 8))[0])


def test_a_session_that_is_dropped_is_freed_without_the_garbage_collector(bundle):
    """The service freezes what the collector knows: a cycle of references would never be freed."""
    session = CpuSession(bundle, "int8", idle_threads=2)
    session.prepare(None)
    session.run(synthetic_windows(1, 8), idle_machine=True)
    dropped = [weakref.ref(each) for each in (session, session.session, session._idle_cores, session.layout)]
    gc.disable()
    try:
        del session
        assert [reference() for reference in dropped] == [None] * 4
    finally:
        gc.enable()
