"""Requests per second over HTTP: this service, a transformers pipeline behind FastAPI, and the raw ceiling.

    python -m benchmarks.http --checkpoint runs/sentiment/checkpoint --data DIR

DIR/sentiment/test.jsonl has the texts that are asked, DIR/sentiment/train.jsonl those that int8 is calibrated on.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from app.bundle import Bundle, Precision
from app.settings import available_cores
from benchmarks.bundles import make_bundles
from benchmarks.expected import Scores, compare_int8, int8_scores, torch_scores
from benchmarks.load import Load, LoadGenerator, find_wrk
from benchmarks.machine import describe_machine, wait_until_idle
from benchmarks.raw import Arrangement, Ceiling, Rate, arrangements
from benchmarks.report import render
from benchmarks.servers import Server, our_servers, pipeline_servers, running
from benchmarks.texts import TextSet, read_texts, short_and_mixed

CONNECTIONS = (1, 32)
WARM_UP_S = 2  # of load at the same number of connections, unmeasured: caches fill, the cost model settles
CALIBRATION_TEXTS = 512

log = logging.getLogger("benchmarks")


class Benchmark:
    """Everything that is measured, round by round: never two servers at once, each round in another order."""

    def __init__(
        self, checkpoint: str, bundles: dict[Precision, Bundle], sets: Sequence[TextSet], folder: Path
    ) -> None:
        cores = available_cores()
        self.bundles, self.sets, self.folder = bundles, sets, folder
        self.expected = {s.name: expected_scores(checkpoint, bundles["int8"], s) for s in sets}
        self.servers = [
            *our_servers({p: b.path.parents[1] for p, b in bundles.items()}),
            *pipeline_servers(checkpoint, cores),
        ]
        self.arrangements = [way for precision in bundles for way in arrangements(precision, cores)]
        self.loads: dict[tuple[Server, str, int], list[Load]] = defaultdict(list)
        self.rates: dict[tuple[Arrangement, str], list[Rate]] = defaultdict(list)

    def run(self, rounds: int, seconds: int) -> None:
        targets: list[Server | Arrangement] = [*self.servers, *self.arrangements]
        for number in range(rounds):
            shift = number * len(targets) // rounds
            for target in targets[shift:] + targets[:shift]:
                log.info("round %d of %d: %s", number + 1, rounds, target)
                if isinstance(target, Server):
                    self.measure_server(target, seconds)
                else:
                    self.measure_ceiling(target, seconds)

    def measure_server(self, server: Server, seconds: int) -> None:
        with running(server, self.folder / "server.log") as address:
            for text_set in self.sets:
                expected = self.expected[text_set.name][server.precision]
                generator = LoadGenerator(text_set.texts, expected, self.folder)
                for connections in CONNECTIONS:
                    generator.ask(address, connections, WARM_UP_S)
                    wait_until_idle(address.pid)
                    load = generator.measure(address, connections, seconds)
                    self.loads[server, text_set.name, connections].append(load)
                    wait_until_idle(address.pid)

    def measure_ceiling(self, arrangement: Arrangement, seconds: int) -> None:
        ceiling = Ceiling(self.bundles[arrangement.precision], arrangement)
        for text_set in self.sets:
            expected = self.expected[text_set.name][arrangement.precision]
            self.rates[arrangement, text_set.name].append(ceiling.measure(text_set, expected, seconds))


def expected_scores(checkpoint: str, int8: Bundle, text_set: TextSet) -> dict[Precision, list[Scores]]:
    """Return what each precision should answer, after a look at how far int8 is from PyTorch."""
    log.info("asking PyTorch: %s", text_set)
    expected: dict[Precision, list[Scores]] = {
        "fp32": torch_scores(checkpoint, text_set.texts),
        "int8": int8_scores(int8, text_set.texts),
    }
    log.info("%s", compare_int8(expected["int8"], expected["fp32"]))
    return expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="folder of a sentiment classifier that transformers loads")
    parser.add_argument("--data", type=Path, required=True, help="folder with sentiment/test.jsonl and train.jsonl")
    parser.add_argument("--mixed", action="store_true", help="measure short and long texts in one stream, too")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured; medians are printed")
    parser.add_argument("--seconds", type=int, default=8, help="length of one measurement")
    parser.add_argument(
        "--work", type=Path, help="keep the exported bundles here and use them again; else a temporary folder"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    find_wrk()
    with nullcontext(options.work) if options.work else tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        log.info("exporting %s", options.checkpoint)
        training_texts = read_texts(options.data / "sentiment" / "train.jsonl")[:CALIBRATION_TEXTS]
        bundles = make_bundles(options.checkpoint, training_texts, folder)
        texts = read_texts(options.data / "sentiment" / "test.jsonl")
        short, mixed = short_and_mixed(texts, bundles["int8"].tokenizer_file)
        benchmark = Benchmark(options.checkpoint, bundles, [short, mixed] if options.mixed else [short], folder)
        benchmark.run(options.rounds, options.seconds)
    print(describe_machine(), f"Medians of {options.rounds} rounds of {options.seconds} s.")
    for text_set in benchmark.sets:
        print(render(text_set, benchmark.loads, benchmark.rates))


if __name__ == "__main__":
    main()
