"""`roberta-serve predict` beside its ceiling: `session.run` on the same texts, tokenized and batched beforehand.

python -m benchmarks.serving.bulk --data DIR [--models models] [--rows 10000] [--rounds 7]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from app.bulk.batching import batches_of
from app.bulk.finding import find_bundle
from app.bulk.opening import open_predictor
from app.bundle import Bundle
from app.runtime.cpu.session import CpuSession
from app.settings import Settings, available_cores
from app.tasks.text import TextEncoder
from app.window import Window

BUDGETS = (256, 512)  # tokens in a batch of the ceiling; the best of them counts
SHORT, LONG = 200, 600  # characters: fewer, and more


def texts_of(data: Path, rows: int, kind: str) -> list[str]:
    """Return texts as they stand in the file, short ones only, or with a long one in six."""
    with (data / "sentiment" / "train.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    short = itertools.cycle([text for text in texts if len(text) < SHORT])
    long = itertools.cycle([text for text in texts if len(text) > LONG])
    return [next(long) if kind == "mixed" and number % 6 == 0 else next(short) for number in range(rows)]


def windows_of(bundle: Bundle, texts: Sequence[str]) -> list[Window]:
    encoder = TextEncoder(bundle.tokenizer_file, bundle.manifest.max_length)
    head = open_predictor(bundle, Settings(device="cpu")).task.probe("a").head_rows
    return [encoder.window(text.ids, piece, head) for text in encoder.encode(texts) for piece in text.pieces]


class Run(NamedTuple):
    """Seconds that a set of texts took, and CPU time of all threads."""

    seconds: float
    cpu_s: float


@contextmanager
def timed() -> Iterator[list[Run]]:
    """Yield a list that has the run of the block once it has ended."""
    runs: list[Run] = []
    started, cpu_started = time.perf_counter(), time.process_time()
    yield runs
    runs.append(Run(time.perf_counter() - started, time.process_time() - cpu_started))


def ceiling(session: CpuSession, windows: Sequence[Window], budget: int) -> Run:
    """Run all windows in sorted batches whose arrays are made before."""
    batches = batches_of([len(window) for window in windows], budget, session.computed_tokens)
    feeds = [session.layout.feed([windows[number] for number in batch]) for batch in batches]
    with ThreadPoolExecutor(available_cores()) as callers, timed() as runs:
        for _ in callers.map(session.compute, feeds):
            pass
    return runs[0]


def in_this_process(bundle: Bundle, texts: Sequence[str]) -> Run:
    """Go from texts to answers, without files and without a start."""
    with open_predictor(bundle, Settings(device="cpu"), {"top_k": 1}) as predictor, timed() as runs:
        for prediction in predictor.predict(texts):
            assert prediction.error is None, prediction.error
    return runs[0]


def as_a_command(arguments: argparse.Namespace, texts: Sequence[str]) -> Run:
    """Run the command; its seconds are what it says itself, from reading its file to writing the last row."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        command = [sys.executable, "-m", "app", "predict", arguments.model, str(source), "-o", f"{folder}/out.jsonl"]
        options = ["--models", str(arguments.models), "--device", "cpu", "--top-k", "1"]
        before = os.times()
        done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
        after = os.times()
        cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
        return Run(len(texts) / float(done.stderr.rsplit(";", 1)[1].split()[0].replace(",", "")), cpu_s)


def measure(arguments: argparse.Namespace, kind: str) -> None:
    """Measure every way once a round. A share is of the best ceiling of its round: machines have better minutes."""
    bundle = find_bundle(arguments.model, Settings(models=arguments.models))
    texts = texts_of(arguments.data, arguments.rows, kind)
    windows = windows_of(bundle, texts)
    session = CpuSession(bundle, next(iter(bundle.manifest.graphs)), 1)
    rounds = []
    for number in range(arguments.rounds):
        best = min(ceiling(session, windows, budget) for budget in BUDGETS)
        found = {"session.run": best, "predict, from Python": in_this_process(bundle, texts)}
        if number < arguments.commands:
            found["predict, the command"] = as_a_command(arguments, texts)
        rounds.append(found)
        rates = ", ".join(f"{name} {len(texts) / run.seconds:,.0f}" for name, run in found.items())
        print(f"  round {number + 1}, rows/s: {rates}", flush=True)
    print(f"{kind}: {len(texts):,} texts, {sum(map(len, windows)) / len(texts):.0f} tokens each on average")
    print(f"  {'':22} {'rows/s':>14} {'CPU us a row':>14} {'share':>8} {'of CPU':>8}")
    for name in rounds[0]:
        runs = [(found[name], found["session.run"]) for found in rounds if name in found]
        rate = statistics.median(len(texts) / run.seconds for run, _ in runs)
        cpu_us = 1e6 * statistics.median(run.cpu_s for run, _ in runs) / len(texts)
        share = statistics.median(best.seconds / run.seconds for run, best in runs)
        of_cpu = statistics.median(best.cpu_s / run.cpu_s for run, best in runs)
        print(f"  {name:22} {rate:14,.0f} {cpu_us:14,.0f} {share:8.3f} {of_cpu:8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sentiment/train.jsonl")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", default="sentiment")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--commands", type=int, default=1, help="rounds in which the command is measured, too")
    parser.add_argument("--only", choices=("short", "mixed"))
    arguments = parser.parse_args()
    for kind in ("short", "mixed"):
        if arguments.only in (None, kind):
            measure(arguments, kind)


if __name__ == "__main__":
    main()
