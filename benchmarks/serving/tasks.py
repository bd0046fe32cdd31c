"""Fill-mask and named entities over HTTP, fp32, against transformers' pipelines on the same cores.

python -m benchmarks.serving.tasks --checkpoint runs/sentiment/checkpoint --data DIR --base BASE \\
    --ner runs/ner/checkpoint
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.settings import available_cores
from benchmarks.machine import describe_machine, wait_until_idle
from benchmarks.peers.task_pipeline_server import make_pipeline
from benchmarks.serving.bundles import NAME
from benchmarks.serving.client import Question
from benchmarks.serving.expected import SCORE_TOLERANCE, WrongAnswerError
from benchmarks.serving.material import (
    WARM_UP_S,
    Material,
    Plan,
    Section,
    Target,
    log,
    median_of,
    observed,
    parser,
    prepared,
)
from benchmarks.serving.openloop import closed_loop, drive, percentile_ms, texts_per_s
from benchmarks.serving.servers import Server, our_servers, running
from benchmarks.tables import table
from training.config import ExportConfig
from training.export.publication import Publication
from training.export.publish import publish
from training.trained import TrainedCheckpoint

CONNECTIONS = (1, 32)
TEXTS = 64
MASK_TOKENS = 128
TARGETS = {"fill-mask": 3.0, "ner": 2.0}
MASK = "<mask>"

METHOD = (
    "Closed loops at 1 and at 32 connections, fp32 against fp32: our service with its defaults, and FastAPI around "
    "transformers' pipeline in one process, with three ways to share out the cores, of which the best in each column "
    "is compared. **fill-mask**: texts of about 128 tokens with one mask; the pipeline projects every position on the "
    "vocabulary. **ner**: sentences of the test split, entities joined (`simple`). Every answer is held against the "
    f"pipeline's own: tokens or entities, and scores within {SCORE_TOLERANCE:g}."
)


@dataclass(frozen=True)
class TaskUnderTest:
    """A route, its checkpoint, the texts that are asked and what their answers are held against."""

    route: str
    checkpoint: str
    questions: list[Question]
    servers: list[Server]
    tokens: list[int]


@dataclass(frozen=True, slots=True)
class Point:
    texts_per_s: float
    p50_ms: float
    p99_ms: float


Points = dict[tuple[Server, int], list[Point]]


@dataclass
class Found:
    task: TaskUnderTest
    points: Points = field(default_factory=lambda: defaultdict(list))

    def speed(self, server: Server, connections: int) -> float:
        return statistics.median(p.texts_per_s for p in self.points[server, connections])

    def times_best(self, connections: int) -> list[float]:
        """How many times the pipeline's texts per second, the best by its median, one figure for each round."""
        ours, *peers = self.task.servers
        best = max(peers, key=lambda peer: self.speed(peer, connections))
        pairs = zip(self.points[ours, connections], self.points[best, connections], strict=True)
        return [mine.texts_per_s / theirs.texts_per_s for mine, theirs in pairs]


def measure(material: Material, plan: Plan, base: str, ner: str | None) -> Section:
    """`base` is a masked language model; without `ner`, a token classifier, that task is left out."""
    tasks = [fill_mask_task(material, base)]
    if ner:
        tasks.append(ner_task(material, ner))
    found = [Found(task) for task in tasks]
    for number in plan.each_round():
        for one in found:
            shift = number % len(one.task.servers)
            for server in one.task.servers[shift:] + one.task.servers[:shift]:
                measure_server(material, one, server, plan.seconds)
    left_out = [] if ner else ["**ner** was left out: no checkpoint was given."]
    return Section(
        title="Fill-mask and named entities",
        method=METHOD,
        tables=[*(render(one) for one in found), *left_out],
        targets=[target(one, connections) for one in found for connections in CONNECTIONS],
    )


def measure_server(material: Material, found: Found, server: Server, seconds: float) -> None:
    with running(server, material.log_file) as address:
        for connections in CONNECTIONS:
            drive(address, closed_loop(found.task.questions, connections, WARM_UP_S))
            wait_until_idle(address.pid)
            (answered,) = drive(address, closed_loop(found.task.questions, connections, seconds)).streams
            point = Point(texts_per_s(answered), percentile_ms(answered, 50), percentile_ms(answered, 99))
            found.points[server, connections].append(point)
            log.info("    %s at %d: %.0f texts/s", server, connections, point.texts_per_s)
            wait_until_idle(address.pid)


def fill_mask_task(material: Material, base: str) -> TaskUnderTest:
    texts = [masked(text) for text in material.texts_of(MASK_TOKENS, TEXTS)]
    return task_of(material, "fill-mask", base, texts, check_candidates)


def masked(text: str) -> str:
    """Replace the middle word by a mask."""
    words = text.split(" ")
    words[len(words) // 2] = MASK
    return " ".join(words)


def ner_task(material: Material, checkpoint: str) -> TaskUnderTest:
    lines = (material.data / "ner" / "test.conll").read_text(encoding="utf-8")
    sentences = [" ".join(row.split()[0] for row in block.splitlines()) for block in lines.split("\n\n") if block]
    return task_of(material, "ner", checkpoint, [s for s in sentences if len(s.split()) > 8][:TEXTS], check_entities)


def task_of(
    material: Material, route: str, checkpoint: str, texts: Sequence[str], check: Callable[[Any, Any], None]
) -> TaskUnderTest:
    """Export the checkpoint in fp32, and ask the pipeline for the right answers."""
    models = material.folder / route
    if not models.is_dir():
        log.info("exporting %s", checkpoint)
        publication = Publication(name=NAME, export=ExportConfig(precisions=("fp32",)))
        publish(publication, TrainedCheckpoint(checkpoint, checkpoint), models)
    answer = make_pipeline(route, checkpoint)
    return TaskUnderTest(
        route=route,
        checkpoint=checkpoint,
        questions=[Question.of(f"/{route}", text, partial(check, answer(text))) for text in texts],
        servers=[*our_servers({"fp32": models}), *peers(route, checkpoint)],
        tokens=[len(encoding.ids) for encoding in material.tokenizer.encode_batch(list(texts))],
    )


def peers(route: str, checkpoint: str) -> list[Server]:
    """The pipeline with every way to share out the cores that may do best."""
    cores = available_cores()
    return [
        Server(
            f"FastAPI + transformers pipeline, {at_once} at once on {threads} threads each",
            "fp32",
            "benchmarks.peers.task_pipeline_server",
            (route, checkpoint, "--torch-threads", str(threads), "--at-once", str(at_once)),
        )
        for threads, at_once in sorted({(cores, 1), (cores, cores), (1, cores)}, reverse=True)
    ]


def check_candidates(expected: Any, answered: Any) -> None:
    """Hold the best tokens of a mask against the pipeline's; those that rank by less than the tolerance may swap."""
    wanted, given = ({entry["token"]: entry["score"] for entry in entries} for entries in (expected, answered))
    clear = {token for token, score in wanted.items() if score > min(wanted.values()) + SCORE_TOLERANCE}
    ranks = zip(sorted(wanted.values()), sorted(given.values()), strict=True)
    if not clear <= given.keys() or any(abs(a - b) > SCORE_TOLERANCE for a, b in ranks):
        raise WrongAnswerError(f"answered {given} where {wanted} is right")


def check_entities(expected: Any, answered: Any) -> None:
    """Hold the entities of a text against the pipeline's."""
    wanted, given = ([(e["entity_group"], e["start"], e["end"]) for e in entries] for entries in (expected, answered))
    scores = zip(expected, answered, strict=False)
    if wanted != given or any(abs(a["score"] - b["score"]) > SCORE_TOLERANCE for a, b in scores):
        raise WrongAnswerError(f"answered {answered} where {expected} is right")


def target(found: Found, connections: int) -> Target:
    route = found.task.route
    return Target(
        f"{route} against the best pipeline, {connections} connection{'s'[: connections > 1]}",
        f"{TARGETS[route]:g} times",
        f"{median_of(found.times_best(connections))} times",
    )


def render(found: Found) -> str:
    header = ["server, fp32"]
    for connections in CONNECTIONS:
        header += [f"texts/s at {connections}", "p50 ms", "p99 ms"]
    rows = []
    for server in found.task.servers:
        row = [server.name]
        for connections in CONNECTIONS:
            points = found.points[server, connections]
            row += [
                median_of([p.texts_per_s for p in points]),
                median_of([p.p50_ms for p in points]),
                median_of([p.p99_ms for p in points]),
            ]
        rows.append(row)
    tokens = found.task.tokens
    mean = statistics.mean(tokens)
    about = f"**{found.task.route}**: {len(tokens)} texts, {min(tokens)} to {max(tokens)} tokens, mean {mean:.0f}"
    return f"{about}.\n\n{table(header, rows)}"


def add_flags(root: argparse.ArgumentParser) -> None:
    root.add_argument("--base", required=True, help="folder of a masked language model that transformers loads")
    root.add_argument("--ner", help="folder of a token classifier; without it named entities are left out")


def main() -> None:
    root = parser(__doc__)
    add_flags(root)
    options = root.parse_args()
    plan = Plan(options.rounds, options.seconds)
    with prepared(options) as material:
        section = observed(lambda: measure(material, plan, options.base, options.ner))
    print(f"{describe_machine()} {plan}\n\n{section.render()}")


if __name__ == "__main__":
    main()
