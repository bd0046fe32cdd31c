"""`roberta-serve predict` beside its ceiling: `session.run` on the same texts, tokenized and batched beforehand.

python -m benchmarks.serving.bulk --data DIR [--models models] [--rows 20000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.bulk.batching import batches_of
from app.bulk.opening import find_bundle, open_predictor
from app.bundle import Bundle
from app.runtime.cpu.session import CpuSession
from app.settings import Settings, available_cores
from app.tasks.text import TextEncoder
from app.window import Window

BUDGETS = (256, 512, 1024)  # tokens in a batch of the ceiling; the best of them counts
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


def ceiling(session: CpuSession, windows: Sequence[Window], budget: int) -> float:
    """Return the seconds of all windows, in sorted batches whose arrays are made before."""
    batches = batches_of([len(window) for window in windows], budget, session.computed_tokens)
    feeds = [session.layout.feed([windows[number] for number in batch]) for batch in batches]
    with ThreadPoolExecutor(available_cores()) as callers:
        started = time.perf_counter()
        for _ in callers.map(session.compute, feeds):
            pass
        return time.perf_counter() - started


def in_this_process(bundle: Bundle, texts: Sequence[str]) -> float:
    """Return the seconds from texts to answers, without files and without a start."""
    with open_predictor(bundle, Settings(device="cpu"), {"top_k": 1}) as predictor:
        started = time.perf_counter()
        for prediction in predictor.predict(texts):
            assert prediction.error is None, prediction.error
        return time.perf_counter() - started


def as_a_command(arguments: argparse.Namespace, texts: Sequence[str]) -> float:
    """Return the seconds that the command says, from reading its file to writing the last row."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        command = [sys.executable, "-m", "app", "predict", arguments.model, str(source), "-o", f"{folder}/out.jsonl"]
        options = ["--models", str(arguments.models), "--device", "cpu", "--top-k", "1"]
        done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
        return len(texts) / float(done.stderr.rsplit(";", 1)[1].split()[0].replace(",", ""))


def measure(arguments: argparse.Namespace, kind: str) -> None:
    bundle = find_bundle(arguments.model, arguments.models)
    texts = texts_of(arguments.data, arguments.rows, kind)
    windows = windows_of(bundle, texts)
    session = CpuSession(bundle, next(iter(bundle.manifest.graphs)), 1)
    seconds: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for budget in BUDGETS:
            name = f"session.run, {budget} tokens a batch"
            seconds.setdefault(name, []).append(ceiling(session, windows, budget))
        seconds.setdefault("predict, from Python", []).append(in_this_process(bundle, texts))
        seconds.setdefault("predict, the command", []).append(as_a_command(arguments, texts))
    rates = {name: [len(texts) / each for each in values] for name, values in seconds.items()}
    best = max(statistics.median(values) for name, values in rates.items() if name.startswith("session.run"))
    print(f"{kind}: {len(texts):,} texts, {sum(map(len, windows)) / len(texts):.0f} tokens each on average")
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"  {name:34} {median:8,.0f} rows/s ({min(values):,.0f} to {max(values):,.0f})  {median / best:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sentiment/train.jsonl")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", default="sentiment")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("short", "mixed"))
    arguments = parser.parse_args()
    for kind in ("short", "mixed"):
        if arguments.only in (None, kind):
            measure(arguments, kind)


if __name__ == "__main__":
    main()
