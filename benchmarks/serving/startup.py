"""From the start of the process to the first 200 of /health/ready, with the bundles in models/.

python -m benchmarks.serving.startup
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.serving.material import Section, Target, log, median_of, observed
from benchmarks.serving.servers import free_port, stop
from benchmarks.tables import table

TARGET_S = 3.0
TIMES = 5
POLL_S = 0.01
TIMEOUT_S = 120.0

METHOD = (
    "The shipped bundles in `models/`: from the start of the process to the first 200 of `/health/ready`, asked every "
    "10 ms, after one start that is not counted, so that the files are in the system's cache. The steps are of as "
    "many other starts, with clocks around them; bundles load side by side, so that the indented steps may add up to "
    "more than loading takes."
)


def measure(times: int, models: Path = Path("models")) -> Section:
    """Start the service `times` times, each beside a start that is taken apart."""
    ready: list[float] = []
    steps: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        seconds_to_ready(models, Path(folder))
        for _ in range(times):
            ready.append(seconds_to_ready(models, Path(folder)))
            steps.append(taken_apart(models))
            log.info("    ready after %.2f s", ready[-1])
    bundles = sorted(path.name for path in models.iterdir() if path.is_dir())
    return Section(
        title="Start-up",
        method=METHOD,
        tables=[f"{len(bundles)} bundles: {', '.join(bundles)}.\n\n{render(ready, steps)}"],
        targets=[Target("from process start to ready", f"under {TARGET_S:g} s", f"{median_of(ready, 2)} s")],
    )


def seconds_to_ready(models: Path, folder: Path) -> float:
    """Raises `RuntimeError` with the end of its log when the service does not get ready."""
    port, log_file = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "app", "--models", str(models), "--host", "127.0.0.1", "--port", str(port)]
    with log_file.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        while not is_ready(port):
            if process.poll() is not None or time.perf_counter() - started > TIMEOUT_S:
                raise RuntimeError(f"the service did not start:\n{log_file.read_text()[-2000:]}")
            time.sleep(POLL_S)
        return time.perf_counter() - started
    finally:
        stop(process)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
            return True
    except OSError:  # not listening yet, or 503 while it loads
        return False


def taken_apart(models: Path) -> dict[str, float]:
    """Return the seconds of each step of a start in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving.startup_worker", str(models), str(time.perf_counter())]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def render(ready: Sequence[float], steps: Sequence[dict[str, float]]) -> str:
    rows = [["process start to ready", median_of(ready, 2)]]
    for name in steps[0]:
        indent = "" if name in ("import", "loading") else "&nbsp;&nbsp;of loading, all bundles together: "
        rows.append([f"{indent}{name}", median_of([each[name] for each in steps], 2)])
    return table(["", "s"], rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--times", type=int, default=TIMES, help=f"how often the service is started ({TIMES})")
    times = options.parse_args().times
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    section = observed(lambda: measure(times))
    print(f"{describe_machine()} Medians of {times} starts.\n\n{section.render()}")


if __name__ == "__main__":
    main()
