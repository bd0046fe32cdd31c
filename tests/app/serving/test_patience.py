"""Loads that never end: the bundle is refused by name, the others are served, and no load is begun upon another."""

import threading
from pathlib import Path

import pytest

from app.bundle import BundleError
from app.serving.patience import Patience

FOLDER, OTHER = Path("models/slow/1"), Path("models/quick/1")


def test_a_load_in_time_returns_and_raises_what_it_does():
    patience = Patience(60.0)
    assert patience.wait(FOLDER, lambda: 5) == 5
    with pytest.raises(BundleError, match="broken"):
        patience.wait(FOLDER, lambda: refuse(BundleError("broken")))
    with pytest.raises(TimeoutError, match="its own"):
        patience.wait(FOLDER, lambda: refuse(TimeoutError("its own")))
    assert patience.wait(FOLDER, lambda: 6) == 6


def refuse(error):
    raise error


def test_a_load_that_does_not_end_is_given_up_once_and_others_go_on():
    patience, may_end, begun = Patience(0.05), threading.Event(), []

    def load():
        begun.append(threading.current_thread())
        may_end.wait(60)
        return "late"

    with pytest.raises(BundleError, match=r"did not load and answer within 0\.05 s; load_timeout_s"):
        patience.wait(FOLDER, load)
    with pytest.raises(BundleError, match="an earlier load of its folder has not ended"):
        patience.wait(FOLDER, load)
    patience.limit_s = 60.0
    assert patience.wait(OTHER, lambda: "served") == "served"
    may_end.set()
    begun[0].join()
    assert patience.wait(FOLDER, lambda: "mended") == "mended"
    assert len(begun) == 1
    assert begun[0].daemon  # it keeps no process from ending
