"""Closed-loop load with wrk: every connection asks, waits for the answer, and asks the next text."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.expected import Scores, WrongAnswerError, check_scores
from benchmarks.machine import machine_cpu_s, process_cpu_s
from benchmarks.servers import Running

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT = "30s"  # wrk's own 2 s would count the slowest servers' answers at 32 connections as lost


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement. CPU times are per answered request; `others` is the share of the machine taken by the rest."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    wrk_cpu_ms: float
    others: float


def find_wrk() -> str:
    """Return the path of wrk. Raises `FileNotFoundError` that says how to get it."""
    found = shutil.which("wrk")
    if found is None:
        raise FileNotFoundError("wrk is not installed: apt-get install wrk")
    return found


class LoadGenerator:
    """wrk, asking one set of texts; every answer is held against what it should be."""

    def __init__(self, texts: Sequence[str], expected: Sequence[Scores], folder: Path) -> None:
        self.wrk, self.expected = find_wrk(), expected
        self.bodies, self.answers = folder / "bodies.jsonl", folder / "answers.tsv"
        self.bodies.write_text("".join(json.dumps({"inputs": text}) + "\n" for text in texts), encoding="utf-8")

    def measure(self, server: Running, connections: int, seconds: int) -> Load:
        """Load `server` and say what came of it. Raises `WrongAnswerError` as `ask` does."""
        before = process_cpu_s(server.pid), children_cpu_s(), machine_cpu_s()
        summary = self.ask(server, connections, seconds)
        server_s, wrk_s = process_cpu_s(server.pid) - before[0], children_cpu_s() - before[1]
        machine = machine_cpu_s() - before[2]
        if not summary["requests"]:
            raise RuntimeError(f"no answer within {seconds} s: measure for longer")
        return Load(
            requests_per_s=summary["requests"] / summary["seconds"],
            p50_ms=summary["p50_ms"],
            p99_ms=summary["p99_ms"],
            server_cpu_ms=1000 * server_s / summary["requests"],
            wrk_cpu_ms=1000 * wrk_s / summary["requests"],
            others=max(0.0, machine.busy - server_s - wrk_s) / machine.all,
        )

    def ask(self, server: Running, connections: int, seconds: int) -> dict[str, float]:
        """Run wrk once and return its summary. Raises `WrongAnswerError` when an answer is wrong, or missing."""
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", TIMEOUT, "-s", str(SCRIPT)]
        command = [self.wrk, *options, server.url, str(self.bodies), str(self.answers)]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        summary: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
        check_answers(self.answers, self.expected)
        if summary["errors"]:
            raise WrongAnswerError(f"{summary['errors']:.0f} requests failed, {summary['requests']:.0f} were answered")
        return summary


def children_cpu_s() -> float:
    """Return the CPU seconds of the child processes that have ended; servers have not."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def check_answers(path: Path, expected: Sequence[Scores]) -> None:
    """Compare every answer that wrk wrote down. The texts' numbers come back in X-Request-Id."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            status, number, body = line.rstrip("\n").split("\t")
            if status != "200":
                raise WrongAnswerError(f"status {status}: {body[:200]}")
            (ranked,) = json.loads(body)
            check_scores({entry["label"]: entry["score"] for entry in ranked}, expected[int(number)])
