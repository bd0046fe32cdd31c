"""A lone text on an idle machine runs on every core, from the length on from which that measured faster."""

import pytest

from app.bundle import read_bundle
from app.runtime.session import Session
from app.warmup import gains_from, is_faster, synthetic_windows
from tests.app.builders import write_bundle
from tests.app.registries import make_registry


class Idle:
    """The same graph on more threads: remembers what it is asked."""

    def __init__(self):
        self.lengths = []

    def run(self, windows):
        self.lengths += map(len, windows)
        return []


@pytest.fixture
def session(tiny_models):
    return Session(read_bundle(tiny_models / "tiny-classify" / "1", name="tiny-classify", version=1), "int8")


@pytest.mark.parametrize(("faster", "expected"), [((32, 64), 32), ((8, 16, 32, 64), 8), ((), None), ((8, 16), None)])
def test_it_is_used_from_where_it_and_all_that_is_longer_gains(faster, expected, session, monkeypatch):
    """Shorter windows that seem to gain where longer ones do not are noise."""
    monkeypatch.setattr("app.warmup.is_faster", lambda other, usual, windows: len(windows[0]) in faster)
    assert gains_from(session, Idle(), max_length=64) == expected


class Timed:
    """Takes as long as it is told: the last time, once the others are used up."""

    def __init__(self, clock, *seconds):
        self.clock, self.seconds, self.runs = clock, list(seconds), 0

    def run(self, windows):
        self.clock[0] += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        self.runs += 1


@pytest.mark.parametrize(
    ("idle_times", "times", "expected", "runs"),
    [
        ((5.0,), (10.0,), True, 5),
        ((9.5,), (10.0,), False, 15),
        ((20.0,) * 8 + (5.0,), (10.0,), True, 9),
        ((9.5,), (30.0, 10.0), False, 15),
    ],
    ids=["a gain", "too small a gain", "a gain that others hid at first", "a gain that only others' load would make"],
)
def test_a_gain_is_what_the_fastest_runs_show(idle_times, times, expected, runs, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("app.warmup.time.perf_counter", lambda: clock[0])
    idle, session = Timed(clock, *idle_times), Timed(clock, *times)
    assert is_faster(idle.run, session.run, synthetic_windows(1, 8)) is expected
    assert idle.runs == session.runs == runs


@pytest.mark.parametrize(("from_tokens", "expected"), [(32, [32, 64]), (None, [])])
def test_only_lone_windows_that_are_long_enough_are_given_to_it(from_tokens, expected, session):
    idle = Idle()
    session.use_idle(idle, from_tokens)
    for length in (8, 31, 32, 64):
        session.run(synthetic_windows(1, length), alone=True)
        session.run(synthetic_windows(1, length), alone=False)
    assert idle.lengths == expected


def test_more_threads_answer_the_same(session):
    windows = synthetic_windows(3, 20)
    for ours, theirs in zip(session.run(windows), session.open_idle(2).run(windows), strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize(("threads", "opened"), [(2, [2]), (1, [])])
def test_a_second_session_is_opened_and_timed_once_for_each_name(threads, opened, tmp_path, byte_level, monkeypatch):
    """A reload takes over what was found: the machine is busy then."""
    asked, timed, open_one = [], [], Session.open_idle
    monkeypatch.setattr(Session, "open_idle", lambda self, n: asked.append(n) or open_one(self, n))
    monkeypatch.setattr("app.loading.gains_from", lambda *_: timed.append(1) or 16)
    write_bundle(tmp_path, byte_level)
    registry = make_registry(tmp_path, idle_threads=threads)
    registry.load()
    assert (asked, timed) == (opened, [1] * len(opened))
    write_bundle(tmp_path, byte_level)
    registry.load()
    assert (asked, timed) == (opened * 2, [1] * len(opened))
