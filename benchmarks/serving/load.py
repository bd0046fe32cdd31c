"""Closed-loop load with wrk: every connection asks, waits for the answer, and asks the next text."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import machine_cpu_s, process_cpu_s
from benchmarks.serving.expected import Scores, WrongAnswerError, check_labels, check_scores, top
from benchmarks.serving.servers import Api, Running

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT = "30s"  # wrk's own 2 s would count the slowest servers' answers at 32 connections as lost


@dataclass(slots=True)
class Answers:
    """What came back: how often each text was answered, and how often with the label that was expected."""

    counts: list[int]
    agreed: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement. CPU times are per answered request; `others` is the share of the machine taken by the rest."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    wrk_cpu_ms: float
    others: float
    answers: Answers = field(default_factory=lambda: Answers([]))

    def tokens_per_s(self, tokens: Sequence[int]) -> float:
        """Return the useful tokens that were answered, by the number of tokens in each text."""
        asked = sum(count * length for count, length in zip(self.answers.counts, tokens, strict=True))
        return self.requests_per_s * asked / self.answers.total


def find_wrk() -> str:
    """Return the path of wrk. Raises `FileNotFoundError` that says how to get it."""
    found = shutil.which("wrk")
    if found is None:
        raise FileNotFoundError("wrk is not installed: apt-get install wrk")
    return found


class LoadGenerator:
    """wrk, asking one set of texts; every answer is held against what it should be.

    With `exact`, each score must be the expected one; without, the labels must be there, and how often the best is
    the expected one is counted.
    """

    def __init__(self, texts: Sequence[str], expected: Sequence[Scores], folder: Path, exact: bool = True) -> None:
        self.texts, self.expected, self.exact = texts, expected, exact
        self.bodies, self.answers = folder / "bodies.jsonl", folder / "answers.tsv"

    def measure(self, server: Running, connections: int, seconds: int) -> Load:
        """Load `server` and say what came of it. Raises `WrongAnswerError` as `ask` does."""
        before = process_cpu_s(server.pid), children_cpu_s(), machine_cpu_s()
        summary = self.run(server, connections, seconds)
        server_s, wrk_s = process_cpu_s(server.pid) - before[0], children_cpu_s() - before[1]
        machine = machine_cpu_s() - before[2]
        answers = self.check(server.api)
        if not answers.total:
            raise RuntimeError(f"no answer within {seconds} s: measure for longer")
        return Load(
            requests_per_s=summary["requests"] / summary["seconds"],
            p50_ms=summary["p50_ms"],
            p99_ms=summary["p99_ms"],
            server_cpu_ms=1000 * server_s / summary["requests"],
            wrk_cpu_ms=1000 * wrk_s / summary["requests"],
            others=max(0.0, machine.busy - server_s - wrk_s) / machine.all,
            answers=answers,
        )

    def ask(self, server: Running, connections: int, seconds: int) -> dict[str, float]:
        """Run wrk once and return its summary. Raises `WrongAnswerError` when an answer is wrong, or missing."""
        summary = self.run(server, connections, seconds)
        self.check(server.api)
        return summary

    def run(self, server: Running, connections: int, seconds: int) -> dict[str, float]:
        """Run wrk with a thread for each connection: `SCRIPT` says why. Raises `WrongAnswerError` for lost answers."""
        self.bodies.write_text("".join(json.dumps(server.api.body(text)) + "\n" for text in self.texts))
        self.answers.write_text("")
        options = [f"-t{connections}", f"-c{connections}", f"-d{seconds}s", "--timeout", TIMEOUT, "-s", str(SCRIPT)]
        arguments = [server.url, str(self.bodies), str(self.answers), str(connections)]
        output = subprocess.run([find_wrk(), *options, *arguments], check=True, capture_output=True, text=True)
        summary: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
        if summary["errors"]:
            self.check(server.api)  # an answer that says what is wrong is worth more than a number
            raise WrongAnswerError(f"{summary['errors']:.0f} requests failed, {summary['requests']:.0f} were answered")
        return summary

    def check(self, api: Api) -> Answers:
        """Compare every answer that wrk wrote down with the one to its question."""
        result = Answers([0] * len(self.texts))
        with self.answers.open(encoding="utf-8") as lines:
            for line in lines:
                number, status, body = line.rstrip("\n").split("\t", 2)
                if status != "200":
                    raise WrongAnswerError(f"status {status}: {body[:200]}")
                scores, expected = api.scores(json.loads(body)), self.expected[int(number)]
                (check_scores if self.exact else check_labels)(scores, expected)
                result.counts[int(number)] += 1
                result.agreed += top(scores) == top(expected)
        return result


def children_cpu_s() -> float:
    """Return the CPU seconds of the child processes that have ended; servers have not."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
