"""A load that takes too long is given up: its bundle is refused by name, while all others are served."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from app.bundle import BundleError

ResultT = TypeVar("ResultT")


class Patience:
    """Runs each load on a thread of its own, and waits for it no longer than `limit_s`.

    Nothing can end a thread within onnxruntime, so that one whose load was given up goes on. While it does, its folder
    is refused at once: loads that never end do not add up.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._given_up: dict[Path, threading.Thread] = {}

    def wait(self, folder: Path, load: Callable[[], ResultT]) -> ResultT:
        """Return what the load of a folder returns, or raise what it raises. Raises `BundleError` where it takes too
        long."""
        before = self._given_up.pop(folder, None)
        if before is not None and before.is_alive():
            self._given_up[folder] = before
            raise BundleError("an earlier load of its folder has not ended; start anew, or publish another version")
        outcome: Future[ResultT] = Future()
        thread = threading.Thread(target=run, args=(load, outcome), name="load-bundle", daemon=True)
        thread.start()
        try:
            return outcome.result(self.limit_s)
        except TimeoutError as error:
            if outcome.done():
                return outcome.result()
            self._given_up[folder] = thread
            raise BundleError(
                f"it did not load and answer within {self.limit_s:g} s; load_timeout_s says how long it may take"
            ) from error


def run(load: Callable[[], ResultT], outcome: Future[ResultT]) -> None:
    try:
        outcome.set_result(load())
    except BaseException as error:
        outcome.set_exception(error)
