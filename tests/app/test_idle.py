"""A lone text on an idle machine runs on every core, from the length on from which that measured faster."""

import pytest

from app.bundle import read_bundle
from app.runtime.session import Session
from app.warmup import learn_idle, synthetic_windows


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


def learn(session, monkeypatch, gains_from, threads=2):
    """Let `threads` threads take half as long for windows of `gains_from` tokens or more."""
    idle = Idle()
    monkeypatch.setattr(Session, "open_idle", lambda *_: idle)
    monkeypatch.setattr(
        "app.warmup.fastest_s", lambda which, windows: 0.5 if which is idle and len(windows[0]) >= gains_from else 1.0
    )
    learn_idle(session, threads, max_length=64)
    for length in (8, 31, 32, 64):
        session.run(synthetic_windows(1, length), alone=True)
        session.run(synthetic_windows(1, length), alone=False)
    return idle.lengths


def test_lone_windows_run_on_every_core_from_where_they_gain(session, monkeypatch):
    assert learn(session, monkeypatch, gains_from=32) == [32, 64]


def test_where_nothing_gains_nothing_is_kept(session, monkeypatch):
    assert learn(session, monkeypatch, gains_from=65) == []


def test_as_many_threads_as_always_are_not_timed(session, monkeypatch):
    assert learn(session, monkeypatch, gains_from=8, threads=1) == []


def test_more_threads_answer_the_same(session):
    windows = synthetic_windows(3, 20)
    for ours, theirs in zip(session.run(windows), session.open_idle(2).run(windows), strict=True):
        assert (ours == theirs).all()
