"""Clients that ask again and again, and count what came back. They ask nothing twice."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S = 60.0
WRK = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
"""


class Clients:
    """Threads that ask in a closed loop. `outcomes` counts statuses, and errors by their names."""

    def __init__(self, url: str, route: str, text: str, clients: int, pause_s: float = 0.0) -> None:
        self._address = urlsplit(url).netloc
        self._path, self._body = f"/{route}", json.dumps({"inputs": text})
        self._ending, self._pause_s = threading.Event(), pause_s
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(clients)]
        self.outcomes: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._counting = threading.Lock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join()

    @property
    def answered(self) -> int:
        return self.outcomes["200"]

    def _ask_on(self) -> None:
        connection = HTTPConnection(self._address, timeout=TIMEOUT_S)
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                outcome = str(response.status)
            except (OSError, HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            with self._counting:
                self.outcomes[outcome] += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self._ending.wait(self._pause_s)
        connection.close()


def wait(condition: Callable[[], bool], within_s: float = 120.0) -> None:
    """Return when a condition holds, which another process is about to bring about."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not so after {within_s:.0f} s")
        time.sleep(0.05)


class Rate(NamedTuple):
    """What wrk was answered: requests per second, and the latency in ms that half of them and all but 1% keep."""

    per_s: float
    p50_ms: float
    p99_ms: float


def rate(url: str, route: str, text: str, connections: int, seconds: int) -> Rate:
    """Have wrk ask in a closed loop. Raises `RuntimeError` where any request fails."""
    with TemporaryDirectory() as folder:
        script = Path(folder) / "ask.lua"
        script.write_text(WRK % json.dumps({"inputs": text}))
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "--timeout",
            "30s",
            "-s",
            str(script),
        ]
        said = subprocess.run([*command, f"{url}/{route}"], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found is not None
    return Rate(float(found[1]), *(percentile_ms(said, percent) for percent in (50, 99)))


def percentile_ms(said: str, percent: int) -> float:
    """Read a percentile of wrk's, which has a unit: us, ms, s or m."""
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", said, re.MULTILINE)
    assert found is not None
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[found[2]]
