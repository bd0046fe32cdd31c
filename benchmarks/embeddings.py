"""Embeddings of short texts: roberta-serve beside the same model in infinity and in sentence-transformers with FastAPI.

    python -m benchmarks.embeddings --models MODELS --name NAME --checkpoint FOLDER --infinity PYTHON --sentence PYTHON

`MODELS` holds the bundle NAME; FOLDER is the checkpoint that it was exported from. The two Pythons are of environments
that have infinity_emb, and sentence-transformers with fastapi and uvicorn. Each round asks every server in turn: 32
connections with one text a request, then 2 with 256 texts a request; the medians of all rounds are printed. Vectors are
compared with those of the first server.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

VERBS = ("pay", "find", "cancel", "change", "track", "return", "renew", "book")
THINGS = ("my bill", "a parcel", "the order", "this flight", "my card", "a table", "the lease", "my booking")
TIMES = ("today", "next week", "from abroad", "without a login")
TEXTS = [f"how do I {verb} {thing} {when}" for verb in VERBS for thing in THINGS for when in TIMES]
READY_S = 120


@dataclass(frozen=True)
class Server:
    name: str
    command: Callable[[int], list[str]]
    path: str
    ready: str
    body: Callable[[list[str]], dict[str, Any]]
    vectors: Callable[[Any], list[list[float]]]


def servers(options: argparse.Namespace) -> list[Server]:
    def plain(texts: list[str]) -> dict[str, Any]:
        return {"inputs": texts}

    ours = ["-m", "app", "--models", str(options.models), "--host", "127.0.0.1"]
    sentence = ["-m", "benchmarks.peers.sentence_server", str(options.checkpoint)]
    infinity = ["-m", "infinity_emb.cli", "v2", "--model-id", str(options.checkpoint), "--engine", "torch"]
    infinity += ["--device", "cpu", "--dtype", "float32", "--no-bettertransformer", "--host", "127.0.0.1"]
    return [
        Server(
            f"roberta-serve {options.precision}",
            lambda port: [sys.executable, *ours, "--precision", options.precision, "--port", str(port)],
            f"/models/{options.name}",
            "/health/ready",
            plain,
            list,
        ),
        Server(
            "infinity, torch fp32",
            lambda port: [options.infinity, *infinity, "--port", str(port)],
            "/embeddings",
            "/health",
            lambda texts: {"input": texts, "model": Path(options.checkpoint).name},
            lambda answer: [each["embedding"] for each in answer["data"]],
        ),
        Server(
            "FastAPI + sentence-transformers, torch fp32",
            lambda port: [options.sentence, *sentence, "--port", str(port)],
            "/embed",
            "/health/ready",
            plain,
            list,
        ),
    ]


@contextmanager
def running(server: Server, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        server.command(port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    try:
        wait(f"http://127.0.0.1:{port}{server.ready}", process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).read()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{url} is not ready")


def ask(connection: HTTPConnection, server: Server, texts: list[str]) -> bytes:
    connection.request("POST", server.path, json.dumps(server.body(texts)), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{server.name}: {answer.status} {content[:200]!r}")
    return content


def load(server: Server, port: int, connections: int, size: int, seconds: float) -> float:
    """Return texts a second over some connections, each asking for `size` texts again and again."""
    counts, until = [0] * connections, time.monotonic() + seconds

    def client(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        turn = number
        while time.monotonic() < until:
            ask(connection, server, [TEXTS[(turn + i) % len(TEXTS)] for i in range(size)])
            counts[number], turn = counts[number] + size, turn + size
        connection.close()

    started = time.monotonic()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started)


def check(server: Server, port: int, expected: list[list[float]]) -> list[list[float]]:
    content = ask(HTTPConnection("127.0.0.1", port, timeout=60), server, TEXTS[:8])
    found = server.vectors(json.loads(content))
    pairs = zip(found, expected, strict=True) if expected else ()
    far = max((abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)), default=0.0)
    print(f"{server.name}: vectors off by {far:.2g} from the first server's", file=sys.stderr)
    return expected or found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="embeddings of short texts, beside infinity and sentence-transformers")
    for name in ("models", "checkpoint"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("name", "infinity", "sentence"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args(arguments)
    found: dict[tuple[str, str], list[float]] = {}
    expected: list[list[float]] = []
    everyone = servers(options)
    loads = {"32 connections, 1 text": (32, 1), "2 connections, 256 texts": (2, 256)}
    for number in range(options.rounds):
        for place, server in enumerate(everyone[number % 3 :] + everyone[: number % 3]):
            port = 8700 + 10 * number + place
            with running(server, port):
                expected = check(server, port, expected)
                for name, (connections, size) in loads.items():
                    load(server, port, connections, size, 1.0)
                    speed = load(server, port, connections, size, options.seconds)
                    found.setdefault((server.name, name), []).append(speed)
    for (server_name, name), speeds in found.items():
        low, high = min(speeds), max(speeds)
        print(f"| {server_name} | {name} | {statistics.median(speeds):,.0f} ({low:,.0f}..{high:,.0f}) |")


if __name__ == "__main__":
    main()
