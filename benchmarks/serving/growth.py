"""Throughput against cores, connections, length of text and number of models.

python -m benchmarks.serving.growth --checkpoint runs/sentiment/checkpoint --data DIR
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.bundle import write_manifest
from app.settings import available_cores
from benchmarks.machine import wait_until_idle
from benchmarks.serving.client import Question
from benchmarks.serving.material import SATURATING, WARM_UP_S, Material, Plan, Section, log, median_of, run_measurement
from benchmarks.serving.memory import resident_mb
from benchmarks.serving.openloop import closed_loop, drive, percentile_ms, texts_per_s
from benchmarks.serving.plots import Line, Panel, draw
from benchmarks.serving.servers import Running, Server, our_servers, running
from benchmarks.tables import table

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
MODELS = (1, 3, 10)
TEXTS_OF_A_LENGTH = 32

METHOD = (
    f"Closed loops of short texts, {SATURATING} connections unless said otherwise. **Cores**: the server's CPU set, "
    "and with it its number of runners; the client, on any core, takes its share of them. **Length**: texts of exactly "
    "so many tokens, cut out of reviews. **Models**: copies of the bundle under other names, asked in turn; memory is "
    "what the server process holds (VmRSS)."
)


@dataclass(frozen=True, slots=True)
class Point:
    """One closed loop; memory is the server's in MB."""

    texts_per_s: float
    p50_ms: float
    p99_ms: float
    before_mb: float
    after_mb: float


Points = dict[int, list[Point]]


@dataclass
class Found:
    """Points by what was varied, one for each round."""

    cores: Points = field(default_factory=lambda: defaultdict(list))
    connections: Points = field(default_factory=lambda: defaultdict(list))
    lengths: Points = field(default_factory=lambda: defaultdict(list))
    models: Points = field(default_factory=lambda: defaultdict(list))


class Growth:
    """What is asked, made once, and the measurements of one round."""

    def __init__(self, material: Material, seconds: float) -> None:
        self.material, self.seconds, self.found = material, seconds, Found()
        self.short = material.questions(material.short.texts)
        self.of_length = {n: material.questions(material.texts_of(n, TEXTS_OF_A_LENGTH)) for n in LENGTHS}
        self.copies = {count: copies(material, count) for count in MODELS}

    def run(self) -> None:
        self.measure_cores()
        self.measure_connections()
        self.measure_lengths()
        self.measure_models()

    def measure_cores(self) -> None:
        every = available_cores()
        for cores in sorted({*(2**n for n in range(every.bit_length())), every}):
            with running_on(cores, self.material.server(), self.material.log_file) as server:
                self.found.cores[cores].append(loop(server, self.short, SATURATING, self.seconds))
            log.info("    %d cores: %.0f texts/s", cores, self.found.cores[cores][-1].texts_per_s)

    def measure_connections(self) -> None:
        with running(self.material.server(), self.material.log_file) as server:
            for connections in CONNECTIONS:
                point = loop(server, self.short, connections, self.seconds)
                self.found.connections[connections].append(point)
                log.info("    %d connections: %.0f texts/s", connections, point.texts_per_s)

    def measure_lengths(self) -> None:
        with running(self.material.server(), self.material.log_file) as server:
            for tokens, questions in self.of_length.items():
                self.found.lengths[tokens].append(loop(server, questions, SATURATING, self.seconds / 2))
                log.info("    %d tokens: %.0f texts/s", tokens, self.found.lengths[tokens][-1].texts_per_s)

    def measure_models(self) -> None:
        for count, server_of_copies in self.copies.items():
            with running(server_of_copies, self.material.log_file) as server:
                questions = spread(self.material, count)
                self.found.models[count].append(loop(server, questions, SATURATING, self.seconds))
            log.info("    %d models: %.0f texts/s", count, self.found.models[count][-1].texts_per_s)


def measure(material: Material, plan: Plan) -> Section:
    growth = Growth(material, plan.seconds)
    for _ in plan.each_round():
        growth.run()
    found = growth.found
    return Section(
        title="Growth",
        method=METHOD,
        tables=[
            throughput_table("cores", found.cores),
            throughput_table("connections", found.connections),
            length_table(found.lengths),
            model_table(found.models),
        ],
        figures={"growth": draw(panels(found))},
    )


def loop(server: Running, questions: Sequence[Question], connections: int, seconds: float) -> Point:
    """Load a server after a short warm-up."""
    before_mb = resident_mb(server)
    drive(server, closed_loop(questions, connections, WARM_UP_S))
    (answered,) = drive(server, closed_loop(questions, connections, seconds)).streams
    wait_until_idle(server.pid)
    return Point(
        texts_per_s(answered), percentile_ms(answered, 50), percentile_ms(answered, 99), before_mb, resident_mb(server)
    )


@contextmanager
def running_on(cores: int, server: Server, log_file: Path) -> Iterator[Running]:
    """Start a server that may use so many cores only, as a child inherits them; this process keeps all of its own."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:cores])
    try:
        with running(server, log_file) as started:
            os.sched_setaffinity(0, mine)
            yield started
    finally:
        os.sched_setaffinity(0, mine)


def copies(material: Material, count: int) -> Server:
    """Return a server of `count` copies of the int8 bundle."""
    bundle = material.bundles["int8"]
    models = material.folder / f"copies-{count}"
    for number in range(count):
        path = models / name_of(number) / str(bundle.manifest.version)
        if not path.is_dir():
            shutil.copytree(bundle.path, path)
            write_manifest(path, bundle.manifest.model_copy(update={"name": name_of(number)}))
    return our_servers({"int8": models})[0]


def name_of(number: int) -> str:
    return f"copy-{number}"


def spread(material: Material, count: int) -> list[Question]:
    """Ask each short text of another model than the one before."""
    texts = material.short.texts
    return [material.questions([text], f"/models/{name_of(i % count)}")[0] for i, text in enumerate(texts)]


def throughput_table(varied: str, points: Points) -> str:
    header = [varied, "texts/s", "p50 ms", "p99 ms"]
    rows = [
        [
            str(value),
            median_of([p.texts_per_s for p in each], 0),
            median_of([p.p50_ms for p in each]),
            median_of([p.p99_ms for p in each]),
        ]
        for value, each in points.items()
    ]
    return table(header, rows)


def length_table(points: Points) -> str:
    rows = [
        [
            str(tokens),
            median_of([p.texts_per_s for p in each], 0),
            median_of([tokens * p.texts_per_s for p in each], 0),
            median_of([p.p50_ms for p in each]),
        ]
        for tokens, each in points.items()
    ]
    return table(["tokens in a text", "texts/s", "tokens/s", "p50 ms"], rows)


def model_table(points: Points) -> str:
    rows = [
        [
            str(count),
            median_of([p.texts_per_s for p in each], 0),
            median_of([p.before_mb for p in each], 0),
            median_of([p.after_mb for p in each], 0),
        ]
        for count, each in points.items()
    ]
    least, most = points[min(MODELS)], points[max(MODELS)]
    each_mb = [(b.after_mb - a.after_mb) / (max(MODELS) - min(MODELS)) for a, b in zip(least, most, strict=True)]
    header = ["models", "texts/s", "MB after start", "MB after load"]
    return f"{table(header, rows)}\n\nEach further model takes {median_of(each_mb, 0)} MB."


def panels(found: Found) -> list[Panel]:
    def line(points: Points, name: str = "texts/s", per_text: bool = False) -> Line:
        values = [[p.texts_per_s * (x if per_text else 1) for p in each] for x, each in points.items()]
        return Line(name, list(points), values)

    p50 = Line("p50", list(found.connections), [[p.p50_ms for p in each] for each in found.connections.values()])
    p99 = Line("p99", list(found.connections), [[p.p99_ms for p in each] for each in found.connections.values()])
    memory = Line("", list(found.models), [[p.after_mb for p in each] for each in found.models.values()])
    tokens = line(found.lengths, "tokens/s", per_text=True)
    return [
        Panel("Cores", "cores of the server", "texts/s", [line(found.cores)]),
        Panel("Connections", "connections", "texts/s", [line(found.connections)], log_x=True),
        Panel("Connections", "connections", "latency (ms)", [p50, p99], log_x=True, log_y=True),
        Panel("Length of the texts", "tokens in a text", "tokens/s", [tokens], log_x=True),
        Panel("Models", "models loaded", "texts/s", [line(found.models)]),
        Panel("Models", "models loaded", "memory of the server (MB)", [memory]),
    ]


if __name__ == "__main__":
    run_measurement(__doc__, measure)
