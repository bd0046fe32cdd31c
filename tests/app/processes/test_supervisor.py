"""How the supervisor starts again what dies: at growing intervals, counted, with a line each."""

import os
from itertools import pairwise
from types import SimpleNamespace

import pytest
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict
from structlog.testing import capture_logs

from app.processes import supervisor
from app.processes.child import CONFIGURATION_EXIT
from app.processes.process_slot import ProcessSlot
from app.processes.restarts import LONGEST_PAUSE_S
from app.processes.supervisor import Supervisor
from app.settings import Settings
from tests.app.engines import play


@pytest.fixture
def counting(monkeypatch):
    """Let a test count in files, as a process of its own would."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(values, "MmapedDict", MmapedDict)
    monkeypatch.setitem(os.environ, "PROMETHEUS_MULTIPROC_DIR", "")


class Clock:
    """`time.monotonic` of the supervisor, moved by what processes live."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def keep(tmp_path, monkeypatch, lives, code=1):
    """Keep a process that ends with `code` after each of `lives`, and return the lines of the log."""

    async def scenario():
        clock = Clock()
        monkeypatch.setattr(supervisor, "time", clock)
        monkeypatch.setattr(supervisor.asyncio, "wait_for", no_wait)
        running = Supervisor(Settings(http_workers=1), 1, None, tmp_path)
        left = list(lives)

        async def run(slot):
            slot.working_since = clock.now
            clock.now += left.pop(0)
            if not left:
                running._draining.set()
            return code

        monkeypatch.setattr(running, "_run", run)
        with capture_logs() as lines:
            await running._keep(running._workers[0])
        return running, lines

    return play(scenario())


async def no_wait(waiting, _):
    waiting.close()


def restarts(running):
    return running._restarts.labels("worker")._value.get()


def test_the_pause_doubles_with_each_death_in_a_row_up_to_the_longest(tmp_path, monkeypatch, counting):
    running, lines = keep(tmp_path, monkeypatch, [1.0] * 12)
    pauses = [line["again_in_s"] for line in lines]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert all(later == min(2 * earlier, LONGEST_PAUSE_S) for earlier, later in pairwise(pauses))
    assert [line["deaths_in_a_row"] for line in lines] == list(range(1, 12))
    assert {tuple(line[key] for key in ("event", "name", "code", "reason", "lived_s")) for line in lines} == {
        ("process_died", "worker-0", 1, "exit code 1", 1.0)
    }
    assert restarts(running) == 11


def test_after_a_process_that_lived_the_pause_is_the_first_one_again(tmp_path, monkeypatch, counting):
    _, lines = keep(tmp_path, monkeypatch, [1.0, 1.0, 100.0, 1.0, 1.0])
    assert [line["deaths_in_a_row"] for line in lines] == [1, 2, 1, 2]
    assert lines[2]["again_in_s"] == lines[0]["again_in_s"]


def test_settings_that_cannot_be_served_end_everything(tmp_path, monkeypatch, counting):
    running, lines = keep(tmp_path, monkeypatch, [1.0, 1.0], CONFIGURATION_EXIT)
    assert running._ending.is_set()
    assert running._misconfigured
    assert lines == []
    assert restarts(running) == 0


def test_a_process_in_trouble_is_killed_once_and_the_reason_logged():
    killed = []
    slot = ProcessSlot("engine", 0, 0)
    slot.process = SimpleNamespace(pid=1, returncode=None, kill=lambda: killed.append(1))
    slot.watch(1.0)  # it has no pulse yet
    slot.pulse = SimpleNamespace(silence_s=3.3, pass_time=lambda _: None, trouble=lambda _: None)
    slot.watch(1.0)
    assert killed == []
    slot.pulse.trouble = lambda _: "stopped"
    with capture_logs() as lines:
        slot.watch(1.0)
    assert killed == [1]
    assert (lines[0]["event"], lines[0]["name"], lines[0]["state"]) == ("process_frozen", "engine-0", "stopped")
