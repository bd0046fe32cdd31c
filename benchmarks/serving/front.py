"""What HTTP, tokenizing and the way to the engine cost, in one process and in several.

    python -m benchmarks.serving.front --data DIR

DIR/sentiment/test.jsonl has the texts that are asked. Beside the sentiment model of models/, a bundle with its
tokenizer and a graph that looks its answer up in a table: what is left is all that is not arithmetic. CPU time is
per request and process: a worker's says how many requests a second one worker can answer, an engine's how many it
can be fed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.bundle import Bundle, Graph, Manifest, new_version, read_bundle, write_manifest
from app.processes.metrics import children_of
from benchmarks.machine import describe_machine, machine_cpu_s, process_cpu_s
from benchmarks.serving.expected import Scores, graph_logits, named
from benchmarks.serving.load import LoadGenerator
from benchmarks.serving.servers import Server, running
from benchmarks.serving.texts import read_texts, short_and_mixed
from training.evaluation.served import ServedGraph

MODELS = Path(__file__).parents[2] / "models"
NAME = "lookup"
WARM_UP_S = 2
LABELS = ("negative", "positive")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement; CPU times in ms per request, of each process by its role."""

    model: str
    workers: int
    connections: int
    requests_per_s: float
    p50_ms: float
    cpu_ms: dict[str, float]
    busy: float

    def __str__(self) -> str:
        cpu = ", ".join(f"{role} {ms:.3f}" for role, ms in self.cpu_ms.items())
        return (
            f"| {self.model} | {self.workers} | {self.connections} | {self.requests_per_s:,.0f} | {self.p50_ms:.2f} "
            f"| {cpu} | {self.busy:.0%} |"
        )


def write_lookup_bundle(models: Path) -> list[float]:
    """Publish a classifier whose logits depend on a text's first token only, and return those of every text."""
    source = read_bundle(MODELS / "sentiment" / "1", name="sentiment", version=1)
    vocabulary = int(source.config["vocab_size"])
    table = np.random.default_rng(0).normal(size=(vocabulary, len(LABELS))).astype(np.float32)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
            helper.make_node("Gather", ["tokens", "head_rows"], ["logits"]),
        ],
        NAME,
        [tensor("input_ids", TensorProto.INT64, ["T"]), tensor("head_rows", TensorProto.INT64, ["N"])],
        [tensor("logits", TensorProto.FLOAT, [None, None])],
        [numpy_helper.from_array(table, "table")],
    )
    with new_version(models, NAME) as (folder, version):
        for file in ("tokenizer.json", "config.json"):
            shutil.copy(source.path / file, folder / file)
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), folder / "g.onnx"
        )
        manifest = Manifest(
            name=NAME,
            version=version,
            task="text-classification",
            problem_type="single_label_classification",
            layout="packed",
            labels=list(LABELS),
            max_length=source.manifest.max_length,
            position_offset=source.manifest.position_offset,
            graphs={"fp32": Graph(file="g.onnx", tolerance=1e-3)},
        )
        write_manifest(folder, manifest)
    logits: list[float] = table[int(source.config["bos_token_id"])].tolist()
    return logits


def measure(
    model: str,
    models: Path,
    expected: Sequence[Scores],
    texts: Sequence[str],
    options: argparse.Namespace,
    folder: Path,
) -> None:
    """Measure one models folder in every number of workers, and print a row for each number of connections."""
    generator = LoadGenerator(texts, expected, folder)
    for workers in options.workers:
        flags = ("--models", str(models), "--host", "127.0.0.1", "--http-workers", str(workers))
        server = Server(model, "fp32", "app", (*flags, "--default-models", json.dumps({"classify": model})))
        with running(server, folder / "server.log") as address:
            for connections in options.connections:
                generator.ask(address, connections, WARM_UP_S)
                roles = roles_of(address.pid)
                before, machine = {pid: process_cpu_s(pid) for pid in roles}, machine_cpu_s()
                summary = generator.ask(address, connections, options.seconds)
                used = {pid: process_cpu_s(pid) - before[pid] for pid in roles}
                spent = machine_cpu_s() - machine
                cpu = {role: 1000 * used[pid] / summary["requests"] for pid, role in roles.items()}
                rate = summary["requests"] / summary["seconds"]
                print(
                    Row(model, workers, connections, rate, summary["p50_ms"], cpu, spent.busy / spent.all), flush=True
                )


def sentiment_scores(bundle: Bundle, texts: Sequence[str]) -> list[Scores]:
    """Answer all texts with the shipped graph and its temperature, without a server."""
    rows = graph_logits(ServedGraph(bundle, "int8"), texts)
    temperature = bundle.manifest.graphs["int8"].temperature
    return [named(row / temperature, bundle.manifest.labels) for row in rows]


def roles_of(pid: int) -> dict[int, str]:
    """Return the process that serves, or those that it supervises, by what they are."""
    lines = {child: Path(f"/proc/{child}/cmdline").read_text().split("\0") for child in children_of(pid)}
    return {child: f"{line[3]} {line[4]}" for child, line in lines.items()} or {pid: "all"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with sentiment/test.jsonl")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="values of http_workers")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32], help="connections of wrk")
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--models", nargs="+", default=[NAME, "sentiment"], choices=[NAME, "sentiment"])
    options = parser.parse_args()
    bundle = read_bundle(MODELS / "sentiment" / "1", name="sentiment", version=1)
    texts = short_and_mixed(read_texts(options.data / "sentiment" / "test.jsonl"), bundle.tokenizer_file)[0].texts
    print(describe_machine())
    print("| model | http_workers | connections | requests/s | p50 ms | CPU ms a request | machine busy |")
    print("| --- | --: | --: | --: | --: | --- | --: |")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        if NAME in options.models:
            logits = write_lookup_bundle(folder / "models")
            answer = named(np.array(logits, np.float32), LABELS)
            measure(NAME, folder / "models", [answer] * len(texts), texts, options, folder)
        if "sentiment" in options.models:
            measure("sentiment", MODELS, sentiment_scores(bundle, texts), texts, options, folder)


if __name__ == "__main__":
    main()
