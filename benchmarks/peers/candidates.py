"""The peers, each with the settings among which its best are looked for."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers.environments import install, python_of, version_of
from benchmarks.peers.graphs import GRAPHS, export_graphs
from benchmarks.serving.expected import Scores
from benchmarks.serving.servers import Api, Server

OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "ORT_DISABLE_TELEMETRY": "1"}
PEERS = ("infinity", "litserve", "mosec")
TIMEOUT_MS = 30_000


class InfinityApi(Api):
    """POST /classify {"model", "input": [text]} -> {"data": [[{"label", "score"}, ...]]}."""

    ready = "/health"

    def body(self, text: str) -> dict[str, Any]:
        return {"model": "m", "input": [text]}

    def scores(self, answer: Any) -> Scores:
        return super().scores(answer["data"])


class LitServeApi(Api):
    ready = "/health"


class MosecApi(Api):
    ready = "/"


INFINITY, LITSERVE, MOSEC = InfinityApi(), LitServeApi(), MosecApi()


class Way(NamedTuple):
    """How an onnxruntime peer shares out the cores and batches."""

    workers: int
    threads: int
    batch: int
    wait_ms: int

    def __str__(self) -> str:
        batch = f"batches of up to {self.batch} after {self.wait_ms} ms" if self.batch > 1 else "no batching"
        return f"workers x threads {self.workers} x {self.threads}, {batch}"

    def arguments(self) -> tuple[str, ...]:
        named = {"workers": self.workers, "threads": self.threads, "batch": self.batch, "wait-ms": self.wait_ms}
        return tuple(f"--{name}={value}" for name, value in named.items())


def ways(cores: int) -> list[Way]:
    """One worker with all cores, a worker for each or for two; no batches, small ones, and those that wait."""
    unbatched = [Way(1, cores, 1, 0), Way(cores, 1, 1, 0), Way(max(1, cores // 2), min(2, cores), 1, 0)]
    batches = [Way(1, cores, 16, 2), Way(cores, 1, 16, 2), Way(cores, 1, 4, 1)]
    return list(dict.fromkeys([*unbatched, *batches]))


def peer_servers(cores: int, folder: Path, environments: Path) -> list[Server]:
    """Return every choice of settings of every peer; nothing is installed or exported yet."""
    pythons = {peer: python_of(peer, environments) for peer in PEERS}
    return [
        *infinity_servers(cores, pythons["infinity"], model_folder(folder)),
        *onnx_servers("LitServe", "litserve", cores, pythons["litserve"], model_folder(folder), LITSERVE),
        *onnx_servers("mosec", "mosec", cores, pythons["mosec"], model_folder(folder), MOSEC),
    ]


def prepare(servers: Sequence[Server], checkpoint: str, folder: Path, environments: Path) -> None:
    """Install the environments that `servers` need, and export `checkpoint` for them."""
    pythons = {server.python for server in servers}
    needed = [peer for peer in PEERS if python_of(peer, environments) in pythons]
    for peer in needed:
        install(peer, environments)
    if needed:
        export_graphs(checkpoint, model_folder(folder))


def model_folder(folder: Path) -> Path:
    return folder / "peers-model"


def infinity_servers(cores: int, python: Path, model: Path) -> list[Server]:
    """It sorts four batches at a time by length, so that small ones pad less. One thread was slower than all cores."""
    fixed = ("v2", "--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer")
    quiet = ("--no-model-warmup", "--log-level", "error", "--host", "127.0.0.1")
    served = ("--model-id", str(model), "--served-model-name", "m")
    return [
        Server(
            f"infinity {version_of('infinity', 'infinity_emb')}, torch fp32",
            "fp32",
            "infinity_emb.cli",
            (*fixed, *quiet, *served, "--batch-size", str(batch)),
            settings=f"batches of up to {batch}, {cores} threads",
            python=python,
            environment={**OFFLINE, "OMP_NUM_THREADS": str(cores)},
            api=INFINITY,
        )
        for batch in (32, 8, 4, 1)
    ]


def onnx_servers(title: str, peer: str, cores: int, python: Path, model: Path, api: Api) -> list[Server]:
    """Both precisions, each with every way to share out the cores."""
    return [
        Server(
            f"{title} {version_of(peer, peer)}, onnxruntime {precision}",
            precision,
            f"benchmarks.peers.{peer}_server",
            (f"--folder={model}", f"--graph={graph}", *way.arguments(), f"--timeout={TIMEOUT_MS}"),
            settings=str(way),
            depends_on_batch=precision == "int8",
            python=python,
            environment=OFFLINE,
            api=api,
            stop_signal=signal.SIGINT if peer == "litserve" else signal.SIGTERM,  # at SIGTERM LitServe leaves orphans
        )
        for precision, graph in GRAPHS.items()
        for way in ways(cores)
    ]
