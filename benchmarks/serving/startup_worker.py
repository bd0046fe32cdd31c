"""One start of the service, taken apart: MODELS STARTED; prints a line of JSON, the seconds of each step.

It imports and loads what `roberta-serve` does, with clocks around the steps of loading. Several bundles load side by
side, so that the steps may add up to more than `loading` took; `warm-up` includes the graph for an idle machine.
STARTED is `time.perf_counter()` of the process that started this one: on Linux all processes share that clock.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

import app.commands.serve
import app.main
import app.runtime.cpu.session
import app.serving.loading
import app.serving.proving
from app.metrics import Metrics
from app.runtime.cpu.session import CpuSession
from app.serving.local_engine import LocalEngine
from app.settings import Settings

STEPS = {  # by the names that loading calls them by
    "hashing": (app.serving.loading, "read_folder"),
    "graph": (app.serving.loading, "open_session"),
    "tokenizer": (app.serving.proving, "task_for"),
    "first run": (app.serving.proving, "check_width"),
    "probes": (app.serving.proving, "check_probes"),
    "warm-up": (CpuSession, "prepare"),
}


def clocked(step: Callable[..., Any], spent: Callable[[float], None]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return step(*args, **kwargs)
        finally:
            spent(time.perf_counter() - started)

    return run


def main() -> None:
    imported_s = time.perf_counter() - float(sys.argv[2])
    seconds: dict[str, float] = defaultdict(float)
    lock = threading.Lock()

    def spend(name: str) -> Callable[[float], None]:
        def spent(duration: float) -> None:
            with lock:
                seconds[name] += duration

        return spent

    for name, (module, attribute) in STEPS.items():
        setattr(module, attribute, clocked(getattr(module, attribute), spend(name)))
    local = LocalEngine(Settings(models=Path(sys.argv[1])), Metrics(CollectorRegistry()))
    started = time.perf_counter()
    local.loader.load()
    local.registry.check_ready()
    print(json.dumps({"import": imported_s, "loading": time.perf_counter() - started} | seconds))


if __name__ == "__main__":
    main()
