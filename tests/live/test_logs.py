"""Logs stop nothing: a flood of refusals is a few lines, and a log that nobody reads holds up no request."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter

import httpx
import pytest

from tests.support.server import ANSWER_S, REPOSITORY, SHAPES, command, environment, until

FLAGS = ((), ("--http-workers", "2"))
WRONG_KEY = {"Authorization": "Bearer wrong"}
SEVERAL_CODES = [("/nowhere", 404), ("/models/nobody", 404), ("/metrics", 405), ("/classify", 400)]


@pytest.mark.parametrize("flags", FLAGS, ids=SHAPES)
def test_a_flood_of_refusals_is_a_few_lines_that_say_how_many(flags, tiny_models, tmp_path):
    with command(
        tiny_models, tmp_path / "log", "--api-keys", '["right"]', "--access", "metrics=open", *flags
    ) as service:
        for _ in range(400):
            assert service.client.post("/classify", content=b"{}", headers=WRONG_KEY).status_code == 401
        refused = service.metric("roberta_rejected_total", reason="unauthorized")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
        lines = [json.loads(line) for line in service.log().splitlines()]

    assert refused == 400
    written = [line for line in lines if line.get("code") == "unauthorized"]
    left_out = [line for line in lines if line["event"] == "lines_left_out"]
    assert 10 <= len(written) < 300
    assert {(line["of"], line["kind"]) for line in left_out} == {("request_failed", "unauthorized")}
    assert len(written) + sum(line["lines"] for line in left_out) == 400


@pytest.mark.parametrize("flags", FLAGS, ids=SHAPES)
def test_on_demand_each_answered_request_is_a_line_without_its_text(flags, tiny_models, tmp_path):
    keys = ("--api-keys", '["right"]', "--access-log")
    with command(tiny_models, tmp_path / "log", *keys, *flags) as service:
        service.client.headers["Authorization"] = "Bearer right"
        for number in range(30):
            headers = {"X-Request-Id": f"asked-{number}"}
            service.client.post("/classify", json={"inputs": ["zanzibar"] * 2}, headers=headers).raise_for_status()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
        log = service.log()
    lines = [line for line in map(json.loads, log.splitlines()) if line["event"] == "request_answered"]

    assert "zanzibar" not in log
    assert {line["request_id"] for line in lines} == {f"asked-{number}" for number in range(30)}
    for line in lines:
        assert (line["route"], line["model"], line["key"]) == ("classify", "tiny-classify:1", "api_keys-1")
        assert line["windows"] == 2
        assert line["tokens"] > 4
        assert line["bytes"] > 20
        assert min(line["total_ms"], line["forward_ms"]) > 0
        assert min(line["tokenize_ms"], line["queue_ms"]) >= 0


@pytest.mark.parametrize("flags", FLAGS, ids=SHAPES)
def test_a_log_that_nobody_reads_holds_up_nothing_not_even_the_end(flags, tiny_models):
    line = [sys.executable, "-m", "app", "--models", str(tiny_models), "--host", "127.0.0.1", "--port", "0", *flags]
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(line, stderr=writing, cwd=REPOSITORY, env=environment())
    os.close(writing)
    try:
        with os.fdopen(reading, "rb", 0) as log, httpx.Client(timeout=ANSWER_S) as client:
            client.base_url = announced_in(log)
            until(lambda: client.get("/health/ready").status_code == 200)
            statuses = Counter()
            for number in range(300):
                path, status = SEVERAL_CODES[number % len(SEVERAL_CODES)]
                statuses[client.post(path, content=b"{").status_code == status] += 1
                statuses[client.post("/classify", json={"inputs": "a"}).status_code == 200] += 1
                statuses[client.get("/health/live").status_code == 200] += 1
            assert statuses == {True: 900}
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def announced_in(log) -> str:
    received = b""
    while not (found := re.search(rb"http://127\.0\.0\.1:\d+", received)):
        chunk = log.read(4096)
        assert chunk, received
        received += chunk
    return found[0].decode()
