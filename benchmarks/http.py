"""Requests per second over HTTP: this service, its peers, and the raw ceiling.

    python -m benchmarks.http --checkpoint runs/sentiment/checkpoint --data DIR --mixed

DIR/sentiment/test.jsonl has the texts that are asked, DIR/sentiment/train.jsonl those that int8 is calibrated on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from app.bundle import Bundle, Precision
from app.settings import available_cores
from benchmarks.machine import describe_machine
from benchmarks.peers.candidates import peer_servers, prepare
from benchmarks.serving.bundles import make_bundles
from benchmarks.serving.contest import TRIAL_S, Contest
from benchmarks.serving.expected import Scores, compare_int8, int8_scores, torch_scores
from benchmarks.serving.load import find_wrk
from benchmarks.serving.report import agreements, render, trial_table
from benchmarks.serving.results import Results
from benchmarks.serving.servers import Server, our_servers, pipeline_servers
from benchmarks.serving.targets import targets
from benchmarks.serving.texts import TextSet, read_texts, short_and_mixed

CALIBRATION_TEXTS = 512
RAW = "session.run"  # how --only names the ceiling
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "roberta-serve" / "benchmarks"

log = logging.getLogger("benchmarks")


def expected_scores(checkpoint: str, int8: Bundle, text_set: TextSet) -> dict[Precision, list[Scores]]:
    """Return what each precision should answer, after a look at how far int8 is from PyTorch."""
    log.info("asking PyTorch: %s", text_set)
    expected: dict[Precision, list[Scores]] = {
        "fp32": torch_scores(checkpoint, text_set.texts),
        "int8": int8_scores(int8, text_set.texts),
    }
    log.info("%s", compare_int8(expected["int8"], expected["fp32"]))
    return expected


def chooser(only: list[str]) -> Callable[[str], bool]:
    """Return what tells whether a name contains one of `only`; without any, all are chosen."""
    return lambda name: not only or any(part.lower() in name.lower() for part in only)


def flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="folder of a sentiment classifier that transformers loads")
    parser.add_argument("--data", type=Path, required=True, help="folder with sentiment/test.jsonl and train.jsonl")
    parser.add_argument("--mixed", action="store_true", help="measure short and long texts in one stream, too")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured; medians are printed")
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help=f"measure servers whose name contains this, and the ceiling only if it is {RAW}; may be repeated",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured, too")
    parser.add_argument(
        "--work",
        type=Path,
        help="keep exported models and the peers' environments here and use them again; "
        f"without it, environments are kept in {CACHE}, and models not at all",
    )
    return parser


def main() -> None:
    options = flags().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    find_wrk()
    with nullcontext(options.work) if options.work else tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder).absolute(), (options.work or CACHE).absolute() / "environments")
    machine = describe_machine()
    print(machine, f"Medians of {options.rounds} rounds of {options.seconds} s.")
    for text_set in results.sets:
        print(render(results, text_set))
    print(trial_table(results), agreements(results), sep="\n")
    if options.json:
        run = {"machine": machine, "rounds": options.rounds, "seconds": options.seconds, "trial_seconds": TRIAL_S}
        reached = [{"texts": each.name, **asdict(t)} for each in results.sets for t in targets(results, each)]
        whole = {**run, **results.as_json(), "targets": reached}
        options.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def measure(options: argparse.Namespace, folder: Path, environments: Path) -> Results:
    """Make what is measured in `folder`, install the peers below `environments`, and run the contest."""
    wanted = chooser(options.only)
    log.info("exporting %s", options.checkpoint)
    training_texts = read_texts(options.data / "sentiment" / "train.jsonl")[:CALIBRATION_TEXTS]
    bundles = make_bundles(options.checkpoint, training_texts, folder)
    servers = [
        server for server in every_server(options.checkpoint, bundles, folder, environments) if wanted(server.name)
    ]
    prepare(servers, options.checkpoint, folder, environments)
    texts = read_texts(options.data / "sentiment" / "test.jsonl")
    short, mixed = short_and_mixed(texts, bundles["int8"].tokenizer_file)
    sets = [short, mixed] if options.mixed else [short]
    expected = {each.name: expected_scores(options.checkpoint, bundles["int8"], each) for each in sets}
    contest = Contest(servers, bundles, sets, expected, folder)
    return contest.run(options.rounds, options.seconds, with_raw=wanted(RAW))


def every_server(checkpoint: str, bundles: dict[Precision, Bundle], folder: Path, environments: Path) -> list[Server]:
    cores = available_cores()
    return [
        *our_servers({precision: bundle.path.parents[1] for precision, bundle in bundles.items()}),
        *peer_servers(cores, folder, environments),
        *pipeline_servers(checkpoint, cores),
    ]


if __name__ == "__main__":
    main()
