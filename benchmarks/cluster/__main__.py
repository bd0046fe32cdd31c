"""The service on a Ray cluster of two nodes on this machine: `python -m benchmarks.cluster`, with Ray installed.

python -m benchmarks.cluster faults     a replica, a node and a version are taken away under load
python -m benchmarks.cluster files      files are answered through Ray Data, and a node is taken away meanwhile
python -m benchmarks.cluster replicas   requests per second, CPU time and latency, with one replica and with two
python -m benchmarks.cluster scaling    one replica that becomes two under load, and one again afterwards
python -m benchmarks.cluster ways       the same replica asked through Ray's proxies, and without Ray
python -m benchmarks.cluster check      answers compared with those without Ray, and the first faults
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cluster.asking import Clients, rate, wait
from benchmarks.cluster.contract import differences, served
from benchmarks.cluster.growing import LONG, grow
from benchmarks.cluster.many_files import lose_a_node
from benchmarks.cluster.nodes import HAPROXY, ONCE, Nodes, nodes
from benchmarks.machine import family_of

ROOT = Path(__file__).parents[2]
FAULTS = ("nothing", "a replica is killed", "both replicas are replaced", "a node is killed")
COMMAND, BY_PROXY, BY_HAPROXY, LISTENING = WAYS = (
    *("roberta-serve, without Ray", "a replica behind Ray's proxy", "a replica behind HAProxy, which Ray runs"),
    "a replica that listens by itself",
)
SHORT, WITH_SOME_IN_HAND = "A warm, funny film.", ("faults", "check")
SERVING = ("ServeReplica", "ProxyActor", "HAProxyManager", "haproxy", "app.cluster.child")  # in command lines
Rows = list[dict[str, Any]]


def faults(flags: argparse.Namespace, chosen: Sequence[str] = FAULTS) -> Rows:
    """Take parts away under load, and count what the clients, who ask nothing twice, were answered."""
    with nodes(variables=ONCE if flags.once else None) as running:
        running.deploy(flags.models, 2)
        return taken_away(running, flags, chosen)


def taken_away(running: Nodes, flags: argparse.Namespace, chosen: Sequence[str]) -> Rows:
    events: dict[str, Callable[[], None]] = {
        FAULTS[0]: lambda: None,
        FAULTS[1]: running.kill_replica,
        FAULTS[2]: lambda: running.deploy(flags.models, 2, request_timeout_s=29.0),
        FAULTS[3]: running.kill_worker,
    }
    return [under_load(name, events[name], running, flags) for name in chosen]


def check(flags: argparse.Namespace) -> Rows:
    """Compare answers with those of the service itself, and take a replica and a node away: what a test asks for."""
    with nodes() as running:
        running.deploy(flags.models, 2)
        return [differences(running.url, flags.models), *taken_away(running, flags, (FAULTS[1], FAULTS[3]))]


def under_load(name: str, event: Callable[[], None], running: Nodes, flags: argparse.Namespace) -> dict[str, Any]:
    clients = Clients(running.url, flags.route, flags.text, flags.clients)
    with clients.asking():
        wait(lambda: clients.answered > flags.clients)
        time.sleep(flags.seconds / 2)
        event()
        before = clients.answered
        time.sleep(flags.seconds / 2)
        wait(lambda: clients.answered > before + flags.clients)
    lost = {outcome: count for outcome, count in clients.outcomes.items() if outcome != "200"}
    return {"event": name, "answered": clients.answered, "lost": lost, "slowest_s": round(clients.slowest_s, 2)}


def files(flags: argparse.Namespace) -> Rows:
    """Answer files through Ray Data, and take a node away meanwhile."""
    with nodes(serves=False) as running, TemporaryDirectory() as folder:
        return [lose_a_node(running, flags.model, flags.models, Path(folder), flags.files, flags.rows)]


def scaling(flags: argparse.Namespace) -> Rows:
    """Have the autoscaling go from one replica to two, and back."""
    with nodes() as running:
        return grow(running, flags)


def replicas(flags: argparse.Namespace) -> Rows:
    """Measure with one replica and with two."""
    rows = []
    with nodes() as running:
        for count in (1, 2):
            running.deploy(flags.models, count)
            rows.append({"replicas": count, **measured(running.url, flags)})
    return rows


def ways(flags: argparse.Namespace) -> Rows:
    """Measure one replica on each way to it; each is another start of Ray, in another process."""
    rows = []
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.cluster", "way", "--way", way, "--models", str(flags.models)]
        asked = ["--route", flags.route, "--text", flags.text, "--clients", str(flags.clients)]
        command += [*asked, "--seconds", str(flags.seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return rows


def way(flags: argparse.Namespace) -> Rows:
    """Measure one replica on one way to it."""
    if flags.way == COMMAND:
        with served(flags.models) as client:
            return [{"way": flags.way, **measured(str(client.base_url), flags)}]
    with nodes(0, HAPROXY if flags.way == BY_HAPROXY else None) as running:
        if flags.way == LISTENING:
            url = running.deploy_listening(flags.models)
        else:
            running.deploy(flags.models, 1)
            url = running.url
        return [{"way": flags.way, **measured(url, flags)}]


def measured(url: str, flags: argparse.Namespace) -> dict[str, float]:
    """Return the rate, and the CPU time of a request in the processes that it passes through, without the client's."""
    seconds = max(1, int(flags.seconds))
    rate(url, flags.route, flags.text, flags.clients, 2)
    before = serving_cpu_s()
    reached = rate(url, flags.route, flags.text, flags.clients, seconds)
    spent_s = serving_cpu_s() - before
    return {
        "requests_per_s": round(reached.per_s),
        "cpu_ms_per_request": round(1000 * spent_s / (reached.per_s * seconds), 2),
        "p50_ms": round(reached.p50_ms, 1),
        "p99_ms": round(reached.p99_ms, 1),
    }


def serving_cpu_s() -> float:
    """Return the CPU seconds of the proxies and replicas that this process has started, and its own."""
    family = [each for each in family_of(os.getpid()) if any(name in command_of(each.pid) for name in SERVING)]
    return time.process_time() + sum(each.cpu_s for each in family)


def command_of(pid: int) -> str:
    with suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


EXPERIMENTS: dict[str, Callable[[argparse.Namespace], Rows]] = {
    "faults": faults,
    "files": files,
    "replicas": replicas,
    "scaling": scaling,
    "ways": ways,
    "way": way,
    "check": check,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--route", default="classify")
    parser.add_argument("--text", help="default: a short one, or a long one where a replica should have some in hand")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--model", default="sentiment", help="of `files`")
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--rows", type=int, default=500, help="in each of the files")
    parser.add_argument("--way", choices=WAYS, metavar="NAME", help="of `way`, which `ways` runs for each of them")
    parser.add_argument("--once", action="store_true", help="faults: Ray's proxy asks no second replica")
    flags = parser.parse_args()
    flags.text = flags.text or (LONG if flags.experiment in WITH_SOME_IN_HAND else SHORT)
    with redirect_stdout(sys.stderr):  # for what Ray says of the processes that are killed
        rows = EXPERIMENTS[flags.experiment](flags)
    for row in rows:
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
