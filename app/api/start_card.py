"""What a person at a terminal is shown when the models are loaded: where, what, and what to try."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from app import __version__
from app.command_line.terminal import is_watched
from app.logs import is_console
from app.logs.escaping import escape
from app.service import Service
from app.serving.registry import Entry

TICK_S = 0.05
ANYWHERE = {"0.0.0.0": "localhost", "[::]": "localhost"}
BOLD, RED, DIM, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
PROCESSES = "app.processes"  # the module that the supervisor's processes run
WIDEST = 100  # characters of a reason


async def show_when_loaded(service: Service, url: str, is_first: Callable[[], bool] = lambda: True) -> None:
    """Write the card to standard error once the models are loaded, where a person reads it.

    `is_first`: whether no other process has shown it.
    """
    if not (is_watched() and is_console(service.settings)):
        return
    registry = service.registry
    while registry.table.suspended is not None and not registry.entries:
        await asyncio.sleep(TICK_S)
    if is_first():
        with suppress(OSError):  # the terminal has closed
            sys.stderr.write("\n".join(card(service, shown(url), age_s())) + "\n")


def shown(url: str) -> str:
    """Return an address that a browser on this machine can open."""
    for address, name in ANYWHERE.items():
        url = url.replace(f"://{address}:", f"://{name}:")
    return url


def card(service: Service, url: str, seconds: float | None) -> list[str]:
    """Return the lines of the card. What bundles say in it is escaped, so that none can act on the terminal."""
    entries = service.registry.entries
    ready = [entry for entry in entries if entry.model is not None]
    lines = ["", f"  {BOLD}{url}{PLAIN}   {DIM}roberta-serve {__version__} on {service.backend.device}{PLAIN}", ""]
    lines += [f"  {line}" for line in table([cells(entry) for entry in ready])]
    lines += [f"  {line}" for entry in entries for line in refusals(entry)]
    lines += [f"  {RED}{escape(problem)}{PLAIN}" for problem in service.registry.table.problems]
    if not ready:
        lines.append("  no model is served; `roberta-serve pull ORG/NAME` fetches one, then send SIGHUP")
    else:
        lines += ["", f"  {DIM}try{PLAIN}  {request_for(service, ready[0], url)}"]
    return [*lines, f"  {'ready' if ready else 'listening'}{'' if seconds is None else f' in {seconds:.1f} s'}", ""]


def cells(entry: Entry) -> tuple[str, ...]:
    assert entry.model is not None
    manifest = entry.model.bundle.manifest
    metrics = manifest.graphs[entry.model.precision].metrics
    score = next((f"{name.replace('_', ' ')} {value:.3f}" for name, value in metrics.items()), "not scored")
    return entry.model.id, manifest.task, entry.model.precision, escape(score), f"/{entry.model.task.route}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def refusals(entry: Entry) -> Iterator[str]:
    for version, reason in entry.refused.items():
        yield f"{RED}{escape(entry.name)}:{version} refused{PLAIN}: {escape(reason)[:WIDEST]}"


def request_for(service: Service, entry: Entry, url: str) -> str:
    """Return a command that asks a model, with its task's own example."""
    assert entry.model is not None
    body = json.dumps(dict(entry.model.task.example), ensure_ascii=False).replace("'", "'\\''")
    key = " -H 'Authorization: Bearer KEY'" if service.settings.api_keys or service.settings.api_keys_file else ""
    socket, url = (f" --unix-socket {url[5:]}", "http://localhost") if url.startswith("unix:") else ("", url)
    return f"curl{socket} {url}/models/{entry.name}{key} -H 'Content-Type: application/json' -d '{body}'"


def age_s() -> float | None:
    """Return how long ago the command was started, in s; None where the system does not tell.

    Source: proc(5), /proc/pid/stat, field 22 in clock ticks since boot.
    """
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{command_pid()}/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return None


def command_pid() -> int:
    """Return the process that a person has started: this one, or the supervisor of this one."""
    return os.getppid() if PROCESSES in sys.orig_argv[1:3] else os.getpid()
