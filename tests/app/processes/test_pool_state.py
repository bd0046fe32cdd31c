"""What the supervisor tells workers and the admin process of all processes, and what those answer then."""

import os
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from app.processes.pool_state import PROBLEMS, PoolState, ToldState, state_of
from app.processes.process_slot import ProcessSlot
from app.processes.pulse import ALIVE, LOADING, STALLED, STOPPED_S, Pulse
from app.processes.restarts import LOOP_DEATHS, LOOP_S, LOOP_STARTS
from app.processes.supervisor import Supervisor
from app.settings import Settings
from tests.app.engines import play
from tests.app.processes.test_supervisor import counting  # noqa: F401

NOW = 1000.0


class Place(ProcessSlot):
    """A place whose process is at work or not, and keeps what it is ordered."""

    def __init__(self, role, *, working=True, looping=False):
        super().__init__(role, 0, 0)
        self.working, self.orders = working, []
        if looping:
            self.restarts.deaths, self.restarts.since = LOOP_DEATHS, NOW - LOOP_S - 1

    @property
    def is_at_work(self):
        return self.working

    def order(self, order):
        self.orders.append(order)


WELL, AWAY, LOOPING = {}, {"working": False}, {"looping": True}


@pytest.mark.parametrize(
    ("engines", "workers", "expected"),
    [
        ([WELL], [WELL, WELL], PoolState.HELD),
        ([AWAY], [WELL, AWAY], PoolState.HELD),  # of engines that are away workers know more
        ([WELL], [AWAY, AWAY], PoolState.NO_WORKER),
        ([WELL], [WELL, LOOPING], PoolState.HELD),
        ([WELL], [LOOPING, LOOPING], PoolState.WORKER_LOOP),
        ([LOOPING], [WELL], PoolState.ENGINE_LOOP),
        ([LOOPING, WELL], [WELL], PoolState.HELD),
    ],
)
def test_one_that_holds_is_enough(engines, workers, expected):
    engines = [Place("engine", **each) for each in engines]
    workers = [Place("worker", **each) for each in workers]
    assert state_of(engines, workers, NOW) == expected


def test_what_is_told_is_what_health_answers():
    told = ToldState()
    orders = told.orders()
    seen = {}
    for state in PoolState:
        orders[str(state)]()
        seen[state] = (told.problem(), told.why_not_ready() is not None)
    assert seen[PoolState.HELD] == (None, False)
    assert seen[PoolState.NO_WORKER] == (None, True)
    assert seen[PoolState.WORKER_LOOP] == ("workers end again and again", False)  # not ready is what follows
    assert seen[PoolState.ENGINE_LOOP] == ("engines end again and again", False)


def test_every_change_is_told_once_and_a_loop_logged(tmp_path, counting):  # noqa: F811
    running = Supervisor(Settings(http_workers=1), 1, 2, tmp_path)
    worker, admin = running._workers, running._admins = [Place("worker")], [Place("admin")]
    with capture_logs() as lines:
        for state in (PoolState.NO_WORKER, PoolState.WORKER_LOOP, PoolState.WORKER_LOOP, PoolState.HELD):
            running._tell(state)
    assert admin[0].orders == [PoolState.NO_WORKER, PoolState.WORKER_LOOP, PoolState.HELD]
    assert worker[0].orders == [PoolState.HELD, PoolState.WORKER_LOOP, PoolState.HELD]  # it is there itself
    [line] = lines
    assert (line["event"], line["problem"]) == ("restart_loop", PROBLEMS[PoolState.WORKER_LOOP])


def test_a_process_is_at_work_while_it_runs_and_says_so():
    async def scenario():
        slot = ProcessSlot("worker", 0, 0)
        assert not slot.is_at_work
        slot.process = SimpleNamespace(returncode=None)
        assert not slot.is_at_work
        with Pulse(60.0) as slot.pulse:
            for said, expected in ((LOADING, False), (ALIVE, True), (STALLED, False), (ALIVE, True)):
                os.write(slot.pulse.write_end, said)
                slot.pulse._hear()
                assert slot.is_at_work == expected
            slot.pulse.silence_s = STOPPED_S
            assert not slot.is_at_work
            slot.pulse.silence_s, slot.process.returncode = 0.0, 1
            assert not slot.is_at_work

    play(scenario())


def test_only_work_counts_as_life():
    """An engine that dies after a minute of loading, again and again, is in a loop."""
    slot, worker = Place("engine", working=False), Place("worker")
    for at in range(0, 60 * LOOP_STARTS, 60):
        slot.note_life(at + 1.0)
        slot.note_death(at + 60.0)
    assert state_of([slot], [worker], 60.0 * LOOP_STARTS) == PoolState.ENGINE_LOOP
    slot.working = True
    slot.note_life(1000.0)
    slot.note_life(1031.0)
    assert state_of([slot], [worker], 1031.0) == PoolState.HELD
