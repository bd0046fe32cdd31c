"""Denormal floats, which masked attention meets, are zeros while a graph runs, and only then."""

import threading

import numpy as np
import pytest

from app.runtime.cpu.denormals import LIBM, denormals_as_zero
from app.runtime.cpu.session import CpuSession
from app.window import Window

SMALL = np.full(64, 1e-39, np.float32)  # the least normal float32 is 1.2e-38


def kept():
    """Whether this thread computes with denormals. Every lane of a vector: the processor may use wide registers."""
    return bool((SMALL * np.float32(1)).all())


@pytest.mark.skipif(LIBM is None, reason="the floating-point environment of this platform is not known")
def test_denormals_are_zeros_inside_and_numbers_outside():
    assert kept()
    with denormals_as_zero():
        assert not kept()
        with denormals_as_zero():
            pass
        assert not kept()
    assert kept()


@pytest.mark.skipif(LIBM is None, reason="the floating-point environment of this platform is not known")
def test_an_error_inside_leaves_no_trace():
    with pytest.raises(ZeroDivisionError), denormals_as_zero():
        raise ZeroDivisionError
    assert kept()


@pytest.mark.skipif(LIBM is None, reason="the floating-point environment of this platform is not known")
def test_other_threads_keep_theirs():
    seen, go, done = [], threading.Event(), threading.Event()

    def look():
        go.wait(10)
        seen.append(kept())
        done.set()

    thread = threading.Thread(target=look)
    thread.start()
    with denormals_as_zero():
        go.set()
        done.wait(10)
    thread.join()
    assert seen == [True]


@pytest.mark.skipif(LIBM is None, reason="the floating-point environment of this platform is not known")
def test_a_graph_is_computed_without_them(fp32_bundle, monkeypatch):
    class Spy:
        def run(self, names, feed):
            seen.append(kept())
            return [np.zeros((1, 2), np.float32)]

    seen, session = [], CpuSession(fp32_bundle, "fp32")
    monkeypatch.setattr(session, "session", Spy())
    session.compute({})
    assert seen == [False]


def test_a_session_leaves_the_thread_as_it_was(fp32_bundle):
    ids, rows = np.array([5, 6, 7]), np.array([0])
    for threads in (1, 2):
        CpuSession(fp32_bundle, "fp32", threads).run([Window(ids, rows)])
        assert kept()
