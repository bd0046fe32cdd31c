"""What each graph of a bundle costs on this machine: its file, its memory, and how fast it answers."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle import Bundle, Precision
from app.runtime.memory import release_memory
from app.runtime.session import SessionError
from app.tasks.text import EncodedText, TextEncoder
from app.window import Window
from training.evaluation.served import ServedGraph, batches_of

WindowOf = Callable[[EncodedText, TextEncoder, np.random.Generator], Window]

MEASURED_S = 0.4  # for each figure
MOST_TEXTS = 200
STATM = Path("/proc/self/statm")  # proc(5): its second number is the resident pages


@dataclass(frozen=True)
class GraphCost:
    """A row of the report: sizes in MB of 10**6 bytes, `memory_mb` None where the system does not tell."""

    precision: str
    file_mb: float
    memory_mb: float | None
    ms_of_one: float
    texts_per_second: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def costs_of(bundle: Bundle, texts: Sequence[str], window_of: WindowOf) -> list[GraphCost]:
    """Measure each graph of a bundle that a CPU runs, on texts; none where there are no texts.

    `window_of` is a task's `calibration_window`.
    """
    found = (cost_of(bundle, precision, texts, window_of) for precision in bundle.manifest.graphs)
    return [each for each in found if each is not None]


def cost_of(bundle: Bundle, precision: Precision, texts: Sequence[str], window_of: WindowOf) -> GraphCost | None:
    """Measure one graph, opened for it; None where no CPU runs it."""
    before = resident_mb()
    try:
        served = ServedGraph(bundle, precision)
    except SessionError:  # fp16 needs CUDA
        return None
    windows = windows_of(served, texts, window_of)
    if not windows:
        return None
    speed = speed_of(served, windows)
    memory = None if before is None else max(0.0, round((resident_mb() or before) - before, 1))
    return GraphCost(precision, file_mb(bundle.path, bundle.manifest.graphs[precision].file), memory, *speed)


def windows_of(served: ServedGraph, texts: Sequence[str], window_of: WindowOf) -> list[Window]:
    """Return the first window of each text."""
    encoder, generator = served.encoder, np.random.default_rng(0)
    return [window_of(text, encoder, generator) for text in encoder.encode(list(texts[:MOST_TEXTS]), truncate=True)]


def speed_of(served: ServedGraph, windows: Sequence[Window]) -> tuple[float, float]:
    """Return the median time of one window alone, in ms, and windows a second in batches."""
    served.session.run([windows[0]])
    alone, until = [], time.perf_counter() + MEASURED_S
    for window in windows:
        began = time.perf_counter()
        served.session.run([window])
        alone.append(time.perf_counter() - began)
        if began > until:
            break
    order = sorted(range(len(windows)), key=lambda index: len(windows[index]))
    done, began = 0, time.perf_counter()
    for batch in batches_of(order, [len(window) for window in windows]):
        served.session.run([windows[index] for index in batch])
        done += len(batch)
        if time.perf_counter() - began > MEASURED_S:
            break
    return round(1000 * statistics.median(alone), 2), round(done / (time.perf_counter() - began), 1)


def file_mb(folder: Path, name: str) -> float:
    return round((folder / name).stat().st_size / 1e6, 1)


def resident_mb() -> float | None:
    """Return the memory of this process that is resident; None on systems without /proc."""
    gc.collect()
    release_memory()  # what a training has freed would be taken again, and not be seen
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        return None
