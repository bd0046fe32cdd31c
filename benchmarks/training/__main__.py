"""Examples per second of fine-tuning: this project, and a loop in the manner of transformers' `run_glue.py`.

    python -m benchmarks.training --base BASE --data DIR
    python -m benchmarks.training --base BASE --data DIR --pretraining

DIR/sentiment/ holds train.jsonl and validation.jsonl; DIR/text/ holds news.txt.gz and
validation.txt.gz, a document a line, for --pretraining. Every
measurement is a process of its own, so that its peak memory is its own too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine, machine_cpu_s
from benchmarks.tables import table

ARMS = {
    "finetuning": {
        "ours": "training.fit.finetune: lengths grouped, padded to the longest of a batch",
        "glue": "run_glue.py's manner: shuffled, padded to 128, fp32, sdpa",
    },
    "pretraining": {
        "masked": "vocabulary projected at masked positions only",
        "all": "vocabulary projected at every position",
    },
}


def main() -> None:
    options = parser().parse_args()
    arms = ARMS["pretraining" if options.pretraining else "finetuning"]
    print(describe_machine())
    found: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    for number in range(options.rounds):
        order = list(arms) if number % 2 == 0 else list(reversed(arms))
        for name in order:
            print(f"round {number + 1} of {options.rounds}: {arms[name]}", file=sys.stderr)
            found[name].append(measure(name, options))
    print(f"\n{options.steps} steps of {options.batch_size}; medians of {options.rounds} rounds.\n")
    print(render(arms, found))


def measure(arm: str, options: argparse.Namespace) -> dict[str, float]:
    """Run one arm in a process of its own; return what it prints, and the share of the machine others had."""
    settings = {name: str(getattr(options, name)) for name in ("base", "data", "steps", "batch_size", "seed")}
    command = [sys.executable, "-m", "benchmarks.training.worker", arm, json.dumps(settings)]
    before = machine_cpu_s()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"TQDM_DISABLE": "1"}
    )
    used = machine_cpu_s() - before
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result | {"others": max(0.0, used.busy - result.pop("cpu_s")) / used.all}


def render(arms: dict[str, str], found: dict[str, list[dict[str, float]]]) -> str:
    """Render the table, how the first arm stands to the second, and what others took of the machine."""
    score = "masked accuracy" if "masked" in arms else "validation accuracy"
    header = ["", "examples/s (least-greatest)", "peak memory MB", f"{score} after as many examples"]
    rows = [
        [arms[name], speeds(runs), f"{of(runs, 'peak_memory_mb'):,.0f}", spread(runs)] for name, runs in found.items()
    ]
    first, second = (of(runs, "examples_per_s") for runs in found.values())
    others = [run["others"] for runs in found.values() for run in runs]
    return (
        f"{table(header, rows)}\n\nThe first is {first / second:.1f} times as fast. Other processes had "
        f"{statistics.median(others):.0%} of the machine (at most {max(others):.0%})."
    )


def of(runs: Sequence[dict[str, float]], value: str) -> float:
    return statistics.median(run[value] for run in runs)


def speeds(runs: Sequence[dict[str, float]]) -> str:
    values = [run["examples_per_s"] for run in runs]
    return f"{statistics.median(values):,.1f} ({min(values):,.1f}-{max(values):,.1f})"


def spread(runs: Sequence[dict[str, float]]) -> str:
    return f"{of(runs, 'score'):.3f}"


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root.add_argument("--base", type=Path, required=True, help="checkpoint that both start from")
    root.add_argument("--data", type=Path, required=True, help="folder with sentiment/ and text/")
    root.add_argument("--pretraining", action="store_true", help="measure the masked language model instead")
    root.add_argument(
        "--steps", type=int, default=200, help="optimizer steps of each measurement, the first 10 unmeasured (200)"
    )
    root.add_argument("--batch-size", type=int, default=32, help="examples of a step (32)")
    root.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn (3)")
    root.add_argument("--seed", type=int, default=42, help="seed of the head, the order and the dropout (42)")
    return root


if __name__ == "__main__":
    main()
