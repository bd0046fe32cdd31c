"""Texts per second of a bundle through HTTP, one text a request, over more and more connections."""

from __future__ import annotations

import http.client
import json
import shutil
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.bundle import Bundle
from app.runtime.session import Device
from benchmarks.gpu.models import make_texts
from benchmarks.serving.expected import torch_scores
from benchmarks.serving.load import LoadGenerator
from benchmarks.serving.servers import Running, Server, running

CONNECTIONS: dict[Device, tuple[int, ...]] = {"cuda": (1, 8, 32, 128, 256), "cpu": (1, 8)}

Row = dict[str, Any]


def measure_http(
    bundle: Bundle, checkpoint: Path, device: Device, flags: Sequence[str], seconds: int, work: Path
) -> list[Row]:
    """Ask a server one text a request over more and more connections; every answer is checked where wrk asks."""
    texts = make_texts(256)
    arguments = ["--models", str(bundle.path.parents[1]), "--host", "127.0.0.1", "--device", device, *flags]
    precision = next(iter(bundle.manifest.graphs))
    server = Server(f"roberta-serve, {precision}", precision, "app", tuple(arguments), True)
    expected = torch_scores(str(checkpoint), texts) if shutil.which("wrk") else None
    rows = []
    with running(server, work / "server.log") as address:
        for connections in CONNECTIONS[device]:
            if expected is None:
                rows.append({"connections": connections, **ask(address, texts, connections, seconds)})
                continue
            load = LoadGenerator(texts, expected, work)
            load.ask(address, connections, 2)
            found = load.measure(address, connections, seconds)
            row = {"texts_per_s": found.requests_per_s, "p50_ms": found.p50_ms, "p99_ms": found.p99_ms}
            rows.append({"connections": connections, **row})
    return rows


def ask(address: Running, texts: Sequence[str], connections: int, seconds: int) -> Row:
    """Ask without wrk: a thread for each connection, in one Python process, which may be what limits the rate."""
    end, target = time.perf_counter() + seconds, urlsplit(address.url)

    def keep_asking(first: int) -> list[float]:
        connection, durations = http.client.HTTPConnection(target.hostname or "", target.port), []
        while (started := time.perf_counter()) < end:
            body = json.dumps({"inputs": texts[(first + len(durations)) % len(texts)]})
            connection.request("POST", target.path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"status {response.status}")
            durations.append(time.perf_counter() - started)
        return durations

    with ThreadPoolExecutor(connections) as pool:
        durations = sorted(d for each in pool.map(keep_asking, range(connections)) for d in each)
    p99 = durations[int(0.99 * (len(durations) - 1))]
    return {
        "texts_per_s": len(durations) / seconds,
        "p50_ms": 1000 * statistics.median(durations),
        "p99_ms": 1000 * p99,
    }
