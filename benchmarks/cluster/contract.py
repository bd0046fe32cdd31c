"""The same requests, of Ray's proxy and of the service itself: what differs between the answers."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from app.api.server import Server
from app.main import create_app
from app.settings import Settings
from benchmarks.cluster.nodes import ONE_CORE

JSON = {"Content-Type": "application/json"}
MINE = {"X-Request-Id": "mine"}
# Ray adds X-Request-Id to every answer, the service to those of predictions and to errors.
# Who has sent an answer and when, how long it took, and what Ray's proxy says beside it.
OF_THE_WAY = {"date", "server", "server-timing", "x-answered-by", "connection", "keep-alive", "vary"}
UNLIKE = {"/metrics", "/models", "/info", "/openapi.json"}  # whose bodies have what was measured, or an address


class Asked(NamedTuple):
    method: str
    path: str
    content: bytes = b""
    headers: Mapping[str, str] = {}


def post(path: str, body: Any, **headers: str) -> Asked:
    return Asked("POST", path, json.dumps(body).encode(), JSON | MINE | headers)


QUESTIONS = (
    post("/classify", {"inputs": "a good and lovely film"}),
    post("/classify", {"inputs": ["good", "bad " * 500], "parameters": {"top_k": 1}}),
    post("/classify", {"inputs": [{"text": "good", "text_pair": "bad"}]}),
    post("/ner", {"inputs": "Ada Byron met Bob in Paris"}),
    post("/fill-mask", {"inputs": "a <mask> film"}),
    post("/fill-mask", {"inputs": "no mask"}),
    post("/classify", {"inputs": ""}),
    post("/classify", {"inputs": "a", "model": "nobody"}),
    post("/classify", {"wrong": 1}),
    post("/classify", {"inputs": ["a"] * 5000}),
    post("/classify/", {"inputs": "good"}),
    post("/classify", {"inputs": "good"}, **{"X-Priority": "high"}),
    post("/classify", {"inputs": "good"}, **{"X-Request-Timeout-Ms": "0"}),
    post("/embed", {"inputs": "good"}),
    post("/v1/embeddings", {"input": "good", "model": "nobody"}),
    post("/v2/models/nobody/infer", {"inputs": []}),
    post("/invocations", {"instances": ["good"]}),
    Asked("POST", "/classify", b"{", JSON | MINE),
    Asked("POST", "/classify", b"\xff", JSON | MINE),
    Asked("POST", "/classify", gzip.compress(b'{"inputs": "good"}'), {**JSON, **MINE, "Content-Encoding": "gzip"}),
    Asked("POST", "/classify", b"x" * (4 * 2**20 + 1), JSON | MINE),
    Asked("POST", "/classify", json.dumps({"inputs": "good " * 150_000}).encode(), JSON | MINE),
    Asked("POST", "/classify", b"inputs=good", {"Content-Type": "application/x-www-form-urlencoded", **MINE}),
    *(Asked("GET", path, headers=MINE) for path in ("/", "/health/live", "/health/ready", "/nothing", "/docs")),
    *(Asked("GET", path, headers=MINE) for path in sorted(UNLIKE)),
    Asked("HEAD", "/health/ready", headers=MINE),
    Asked("GET", "/classify", headers=MINE),
    Asked("DELETE", "/classify", headers=MINE),
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(client: httpx.Client, asked: Asked) -> Answer:
    response = client.request(asked.method, asked.path, content=asked.content, headers=asked.headers)
    headers = {name: value for name, value in response.headers.items() if name not in OF_THE_WAY}
    if asked.path in UNLIKE:
        headers.pop("content-length")
    return Answer(response.status_code, headers, b"" if asked.path in UNLIKE else response.content)


def differences(url: str, models: Path) -> dict[str, Any]:
    """Return how many requests were compared, and those whose answers differ, with both."""
    differs = []
    with served(models) as ours, httpx.Client(base_url=url, timeout=120) as client:
        for asked in QUESTIONS:
            theirs, own = ask(client, asked), ask(ours, asked)
            if "x-request-id" not in own.headers:
                theirs.headers.pop("x-request-id", None)
            if theirs != own:
                differs.append(
                    [f"{asked.method} {asked.path} {asked.content[:40]!r}", repr(theirs)[:600], repr(own)[:600]]
                )
    return {"compared": len(QUESTIONS), "differs": differs}


@contextmanager
def served(models: Path) -> Iterator[httpx.Client]:
    """Serve in a thread of this process."""
    server = Server(create_app(Settings(models=models, **ONE_CORE)))
    bound = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=120) as client:
            while client.get("/health/ready").status_code != 200:
                threading.Event().wait(0.05)
            yield client
    finally:
        server.should_exit = True
        thread.join()
