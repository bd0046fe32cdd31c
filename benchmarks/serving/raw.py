"""The ceiling: `session.run` on the same texts without a server, their arrays made beforehand."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from app.bundle import Bundle, Precision
from app.runtime.cpu.session import CpuSession
from app.runtime.packing import Feed
from app.tasks.classify import FIRST_TOKEN
from app.tasks.text import TextEncoder
from benchmarks.serving.expected import Scores, check_scores, named
from benchmarks.serving.texts import TextSet

BUDGETS = (128, 256, 512, 1024)  # tokens in a batch: the best differs between machines and precisions


class Rate(NamedTuple):
    """What was reached; `median_ms` is of one `session.run`, `cpu_ms` of one text on all cores together."""

    texts_per_s: float
    tokens_per_s: float
    median_ms: float
    cpu_ms: float


@dataclass(frozen=True, order=True, slots=True)
class Arrangement:
    """A way to run a set of texts. A `budget` of 0 is one text at a time, in their order."""

    precision: Precision
    budget: int
    callers: int  # threads that call `session.run` on the one session
    threads: int  # threads within one run

    def __str__(self) -> str:
        size = f"packed, sorted, {self.budget} tokens a batch" if self.budget else "one text at a time"
        return f"{self.precision}, {size}, {self.callers} x {self.threads} threads"


def arrangements(precision: Precision, cores: int) -> list[Arrangement]:
    """One text on one core and on all of them; batches with every even share of the cores among callers."""
    single = [Arrangement(precision, 0, 1, threads) for threads in sorted({1, cores})]
    shares = [(callers, cores // callers) for callers in range(cores, 0, -1) if cores % callers == 0]
    return [
        *single,
        *(Arrangement(precision, budget, callers, threads) for callers, threads in shares for budget in BUDGETS),
    ]


def open_session(bundle: Bundle, arrangement: Arrangement) -> CpuSession:
    """Open a session that serves every arrangement of this precision and number of threads."""
    return CpuSession(bundle, arrangement.precision, arrangement.threads)


class Ceiling:
    """One arrangement of one bundle, on a session that may serve others, too."""

    def __init__(self, bundle: Bundle, arrangement: Arrangement, session: CpuSession | None = None) -> None:
        self.arrangement, self.labels = arrangement, bundle.manifest.labels
        self.session = session or open_session(bundle, arrangement)
        self.encoder = TextEncoder(bundle.tokenizer_file, bundle.manifest.max_length)

    def measure(self, text_set: TextSet, expected: Sequence[Scores], seconds: float) -> Rate:
        """Run the whole set once to check it, then as often as fits into `seconds`.

        Raises `WrongAnswerError` when an answer is not the expected one.
        """
        batches = self.batches(text_set.tokens)
        windows = [self.encoder.window(t.ids, t.pieces[0], FIRST_TOKEN) for t in self.encoder.encode(text_set.texts)]
        feeds = [self.session.layout.feed([windows[i] for i in batch]) for batch in batches]
        with ThreadPoolExecutor(self.arrangement.callers) as callers:
            started = time.perf_counter()
            for batch, logits in zip(batches, callers.map(self.session.compute, feeds), strict=True):
                for i, row in zip(batch, logits, strict=True):
                    check_scores(named(row, self.labels), expected[i])
            passes = math.ceil(seconds / (time.perf_counter() - started))
            started, cpu_started = time.perf_counter(), time.process_time()
            durations = list(callers.map(self.time_run, feeds * passes))
            elapsed, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
        texts = len(text_set.texts) * passes
        return Rate(
            texts_per_s=texts / elapsed,
            tokens_per_s=sum(text_set.tokens) * passes / elapsed,
            median_ms=1000 * statistics.median(durations),
            cpu_ms=1000 * cpu_s / texts,
        )

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the numbers of the texts in each batch, the longest first so that no caller ends late."""
        if not self.arrangement.budget:
            return [[i] for i in range(len(lengths))]
        result: list[list[int]] = []
        free = 0
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            if not result or lengths[i] > free:
                result.append([])
                free = self.arrangement.budget
            result[-1].append(i)
            free -= lengths[i]
        return result

    def time_run(self, feed: Feed) -> float:
        started = time.perf_counter()
        self.session.compute(feed)
        return time.perf_counter() - started
