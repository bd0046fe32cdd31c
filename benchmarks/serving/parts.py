"""What one core does of each part of a request, and what a request is in bytes: the figures of docs/scaling.md.

    python -m benchmarks.serving.parts --data DIR

DIR/sentiment/test.jsonl has the texts. Each part runs by itself in one thread on one core: tokenizing, one text at a
time as a request is; forward passes of the shipped int8 graph, in batches of texts of like length; and the bytes that
a request and its answer are on the wire, of a service that runs meanwhile, and in a batch's arrays.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from app.bundle import read_bundle
from app.runtime.cpu.session import CpuSession
from app.tasks.classify import FIRST_TOKEN
from app.tasks.text import TextEncoder
from benchmarks.machine import describe_machine
from benchmarks.serving.raw import Arrangement, Ceiling
from benchmarks.serving.servers import Server, running
from benchmarks.serving.texts import TextSet, read_texts, short_and_mixed

MODELS = Path(__file__).parents[2] / "models"
BUDGETS = (256, 512)  # tokens in a batch; the better of them counts
RECEIVED = 64 * 2**10  # bytes; an answer has fewer


class Part(NamedTuple):
    """What one core does in a second, medians of all rounds."""

    name: str
    texts_per_s: float
    tokens_per_s: float

    def __str__(self) -> str:
        return f"| {self.name} | {self.texts_per_s:,.0f} | {self.tokens_per_s:,.0f} |"


def rate(texts: TextSet, once: Callable[[], object], seconds: float, rounds: int) -> tuple[float, float]:
    """Return how many texts and tokens a second `once` goes through, which goes through all texts."""
    once()
    passes = []
    for _ in range(rounds):
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            once()
            done += 1
        passes.append(done / (time.perf_counter() - started))
    times = statistics.median(passes)
    return times * len(texts.texts), times * sum(texts.tokens)


def tokenizing(texts: TextSet, encoder: TextEncoder, options: argparse.Namespace) -> Part:
    def once() -> None:
        for text in texts.texts:
            encoder.encode([text])

    return Part(f"tokenizing, {texts.name}", *rate(texts, once, options.seconds, options.rounds))


def forward(texts: TextSet, ceiling: Ceiling, options: argparse.Namespace) -> tuple[Part, float]:
    """Return the rate of forward passes, and the bytes of their arrays for a token."""
    encoder, layout = ceiling.encoder, ceiling.session.layout
    windows = [encoder.window(t.ids, t.pieces[0], FIRST_TOKEN) for t in encoder.encode(texts.texts)]
    feeds = [layout.feed([windows[i] for i in batch]) for batch in ceiling.batches(texts.tokens)]

    def once() -> None:
        for feed in feeds:
            ceiling.session.compute(feed)

    name = f"forward, int8, {texts.name}, {ceiling.arrangement.budget} tokens a batch"
    size = sum(array.nbytes for feed in feeds for array in feed.values()) / sum(texts.tokens)
    return Part(name, *rate(texts, once, options.seconds, options.rounds)), size


def on_the_wire(texts: TextSet) -> tuple[float, float]:
    """Return the mean bytes of a request of one text and of its answer, heads included, on one kept connection."""
    flags = ("--models", str(MODELS), "--host", "127.0.0.1", "--default-models", '{"classify": "sentiment"}')
    sent = received = 0
    server = Server("service", "int8", "app", flags)
    with tempfile.TemporaryDirectory() as folder, running(server, Path(folder) / "log") as address:
        at = urlsplit(address.url)
        with socket.create_connection((at.hostname, at.port)) as connection:
            for text in texts.texts:
                body = json.dumps({"inputs": text}, ensure_ascii=False).encode()
                head = f"POST {at.path} HTTP/1.1\r\nhost: {at.netloc}\r\ncontent-type: application/json\r\n"
                connection.sendall(request := f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                answer = connection.recv(RECEIVED)
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError(f"answered {answer[:200]!r}")
                sent, received = sent + len(request), received + len(answer)
    return sent / len(texts.texts), received / len(texts.texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with sentiment/test.jsonl")
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    options = parser.parse_args()
    bundle = read_bundle(MODELS / "sentiment" / "1", name="sentiment", version=1)
    sets = short_and_mixed(read_texts(options.data / "sentiment" / "test.jsonl"), bundle.tokenizer_file)
    asked, answered = on_the_wire(sets[0])
    machine = describe_machine()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    session, encoder = CpuSession(bundle, "int8", 1), TextEncoder(bundle.tokenizer_file, bundle.manifest.max_length)
    print(machine, *map(str, sets), "", sep="\n")
    print("| on one core | texts/s | tokens/s |", "| --- | --: | --: |", sep="\n")
    for texts in sets:
        print(tokenizing(texts, encoder, options), flush=True)
        passes = [forward(texts, Ceiling(bundle, Arrangement("int8", b, 1, 1), session), options) for b in BUDGETS]
        print(max(passes, key=lambda each: each[0].texts_per_s)[0], flush=True)
    print(f"\nA request of one short text is {asked:.0f} bytes, its answer {answered:.0f}.")
    print(f"The arrays of a batch are {passes[0][1]:.0f} bytes for a token.")


if __name__ == "__main__":
    main()
