"""`python -m tests.chaos`: every fault for as long as told, then one table; exit 1 where something did not hold."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.scenario import chosen, play
from tests.chaos.table import Row, render, verdicts
from tests.chaos.tally import Truth
from tests.support.server import REPOSITORY, SHAPES

SHAPE_OF = {"one": SHAPES[:1], "several": SHAPES[1:], "both": SHAPES}
DESCRIPTORS = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0, help="of load in all; default: the least of each scenario")
    parser.add_argument("--pause", type=float, default=0, help="seconds of a client of the load between two requests")
    parser.add_argument("--only", action="append", default=[], help="part of a scenario's name; may be given again")
    parser.add_argument("--shape", choices=SHAPE_OF, default="both", help="one process, several, or both")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models", help="the bundles to serve")
    parser.add_argument("--list", action="store_true", help="name the scenarios, and play none")
    asked = parser.parse_args(arguments)
    todo = list(chosen(asked.only, SHAPE_OF[asked.shape]))
    if asked.list:
        sys.stdout.writelines(f"{scenario.name} ({shape}): {scenario.fault}\n" for scenario, shape in todo)
        return 0
    if not todo:
        parser.error(f"no scenario is called {' or '.join(asked.only)}; see --list")
    allow_descriptors()
    began = time.monotonic()
    truth, rows = Truth(), list[Row]()
    for number, (scenario, shape) in enumerate(todo, start=1):
        progress(f"[{number}/{len(todo)}] {time.monotonic() - began:.0f} s: {scenario.fault}, {shape}")
        rows.append(play(scenario, shape, asked.models, truth, asked.seconds / len(todo), asked.pause))
        for verdict in verdicts(rows[-1:]):
            progress(f"did not hold: {verdict}\n")
    progress("")
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    sys.stdout.write(f"{render(rows)}\n\n{when}, {time.monotonic() - began:.0f} s\n")
    return 0 if all(row.tally.is_sound for row in rows) else 1


def progress(sentence: str) -> None:
    """Show on a terminal what is being played; elsewhere a line for each."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{sentence}")
    elif sentence:
        sys.stderr.write(f"{sentence.strip()}\n")
    sys.stderr.flush()


def allow_descriptors() -> None:
    """Let this process open as many connections as overload needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
