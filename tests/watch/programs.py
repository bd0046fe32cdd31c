"""Prometheus, Alertmanager and a receiver of alerts, on loopback, with the files of `deploy/` on a faster clock."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.server import until
from tests.watch.definitions import ALERTMANAGER, PROMETHEUS, RULE_FILES, TIMES, Query, hastened, load, shorter

SCRAPE_MS = 250
PROGRAMS = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}  # with their Debian packages
LISTENS = re.compile(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)')


def missing() -> list[str]:
    """Return the Debian packages of programs that are not there."""
    return [package for package in PROGRAMS.values() if shutil.which(package) is None]


@dataclass
class Receiver:
    """What was posted to it: a message for each group of alerts."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def told(self, name: str, status: str, since: int = 0) -> bool:
        """Whether it was told that an alert is `firing` or `resolved`, by a message after the first `since`.

        The name may have the severity behind it.
        """
        alerts = [alert for message in self.messages[since:] for alert in message["alerts"]]
        named = [f"{each['labels']['alertname']} {each['labels']['severity']} {each['status']}" for each in alerts]
        return any(each.startswith(f"{name} ") and each.endswith(f" {status}") for each in named)

    def names(self) -> set[str]:
        return {alert["labels"]["alertname"] for message in list(self.messages) for alert in message["alerts"]}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Take what Alertmanager posts."""
    taken = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="receiver")
        thread.start()
        taken.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def program(log_file: Path, *line: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a program until it listens; yield its address. It is told to end, and killed where it does not."""

    def address() -> str | None:
        log = log_file.read_text()
        assert process.poll() is None, f"{line[0]} ended: {log}"
        found = LISTENS.search(log)
        return found and found[1]

    with log_file.open("wb") as log, subprocess.Popen(line, stdout=log, stderr=log) as process:
        try:
            yield until(address), process
        finally:
            process.send_signal(signal.SIGKILL)


@contextmanager
def alertmanager(folder: Path, told: Receiver) -> Iterator[str]:
    """Run Alertmanager with the deployed routes, on a faster clock; yield its address."""
    config = load(ALERTMANAGER)
    for route in (config["route"], *config["route"]["routes"]):
        for name in ("group_wait", "group_interval"):
            route[name] = shorter(route[name], TIMES, 0.1)
    for each in config["receivers"]:
        for hook in each["webhook_configs"]:
            del hook["url_file"]  # Debian's Alertmanager does not know it yet
            hook["url"] = told.url
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    flags = [f"--config.file={file}", f"--storage.path={folder}/alerts", "--web.listen-address=127.0.0.1:0"]
    with program(folder / "alertmanager.log", PROGRAMS["alertmanager"], *flags, "--cluster.listen-address=") as (at, _):
        yield at


class Prometheus:
    """A running Prometheus, and what it is asked."""

    def __init__(self, address: str, process: subprocess.Popen[bytes], file: Path, config: dict[str, Any]) -> None:
        self._client = httpx.Client(base_url=f"http://{address}/api/v1/", timeout=30)
        self._process, self._file, self._config = process, file, config
        self.started = time.time()

    def firing(self) -> set[str]:
        return {name for name, state in self.states().items() if state == "firing"}

    def states(self) -> dict[str, str]:
        """Return `pending` or `firing` for each alert that is either, the more severe of several."""
        found: dict[str, str] = {}
        for alert in self._get("alerts")["alerts"]:
            name = f"{alert['labels']['alertname']} {alert['labels']['severity']}"
            if found.get(name) != "firing":
                found[name] = alert["state"]
        return found

    def series(self, query: Query, interval: str, since: float | None = None) -> list[dict[str, Any]]:
        """Return what a query gives since a time or the start, a point each half second."""
        expr = query.chosen(interval)
        given = self._get("query_range", query=expr, start=since or self.started, end=time.time(), step=0.5)
        result: list[dict[str, Any]] = given["result"]
        return result

    def now(self, expr: str) -> list[dict[str, Any]]:
        """Return what a query gives at this moment."""
        result: list[dict[str, Any]] = self._get("query", query=expr)["result"]
        return result

    def target(self, *addresses: str, every_ms: int = SCRAPE_MS) -> None:
        """Have it scrape other addresses, or none, or at another pace."""
        self._config["global"]["scrape_interval"] = f"{every_ms}ms"
        self._config["scrape_configs"][0]["static_configs"] = [{"targets": list(addresses)}]
        self._file.write_text(yaml.safe_dump(self._config))
        self._process.send_signal(signal.SIGHUP)

    def rule_errors(self) -> list[str]:
        groups = self._get("rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]

    def close(self) -> None:
        self._client.close()

    def _get(self, path: str, **fields: Any) -> Any:
        answer = self._client.get(path, params=fields).json()
        assert answer["status"] == "success", answer
        return answer["data"]


@contextmanager
def prometheus(folder: Path, service: str, alerts: str, key: str) -> Iterator[Prometheus]:
    """Run Prometheus with the deployed rules, on a faster clock, on a service that asks for a key."""
    config = load(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": f"{SCRAPE_MS}ms", "evaluation_interval": f"{SCRAPE_MS}ms"}
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alerts]}]
    (folder / "key").write_text(key)
    job = config["scrape_configs"][0]
    job["authorization"] = {"type": "Bearer", "credentials_file": str(folder / "key")}
    job["static_configs"] = [{"targets": [service]}]
    for path in RULE_FILES:
        (folder / path.name).write_text(yaml.safe_dump(hastened(load(path))))
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    flags = [f"--config.file={file}", f"--storage.tsdb.path={folder}/series", "--web.listen-address=127.0.0.1:0"]
    with program(folder / "prometheus.log", PROGRAMS["prometheus"], *flags) as (at, process):
        watching = Prometheus(at, process, file, config)
        try:
            yield watching
        finally:
            watching.close()
