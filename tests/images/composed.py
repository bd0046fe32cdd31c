"""Brings docker-compose.yml up and asks what it is for: `make compose-check`. Ends with 1 where something is not so.

The images of the service and of the others must be there or be reachable. `--without grafana` leaves one out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.images.serving import free_port

ROOT = Path(__file__).parents[2]
SERVICES = ("roberta", "prometheus", "alertmanager", "grafana")
PORTS = {"PORT": 8000, "PROMETHEUS_PORT": 9090, "ALERTMANAGER_PORT": 9093, "GRAFANA_PORT": 3000}
DOWN = "RobertaServiceDown"
WITHIN_S = 240.0
# Prints each message of Alertmanager, one a line, for `docker compose logs`.
RECEIVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
HTTPServer(("", 8080), Handler).serve_forever()
"""


@dataclass
class Composed:
    """A project of compose that is up, and what it is asked."""

    client: Sequence[str]
    files: Sequence[Path]
    environment: dict[str, str]
    key: str  # of a client, or none
    project: str = field(default_factory=lambda: f"check{uuid.uuid4().hex[:8]}")

    def call(self, *words: str) -> str:
        """Return what the client prints. Raises `AssertionError` with what it complains of."""
        named = [word for file in self.files for word in ("--file", str(file))]
        line = [*self.client, "--project-name", self.project, *named, *words]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=900, env=self.environment)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def url(self, variable: str) -> str:
        return f"http://127.0.0.1:{self.environment[variable]}"

    def prometheus(self, path: str, **query: str) -> Any:
        return httpx.get(f"{self.url('PROMETHEUS_PORT')}/api/v1/{path}", params=query, timeout=30).json()["data"]

    def told(self, status: str) -> bool:
        """Whether the webhook was told that the service is down (`firing`), or is no longer (`resolved`)."""
        lines = self.call("logs", "--no-color", "receiver").splitlines()
        messages = [json.loads(line.partition("{")[1] + line.partition("{")[2]) for line in lines if '"alerts"' in line]
        alerts = [alert for message in messages for alert in message["alerts"]]
        return any(alert["labels"]["alertname"] == DOWN and alert["status"] == status for alert in alerts)


def secret(file: Path, text: str) -> str:
    """Write a file that the users of every container may read; return its path."""
    file.write_text(text)
    file.chmod(0o644)
    return str(file)


def new_key(scope: str) -> tuple[str, str]:
    """Return the entry of a new key for the service's file, and the key."""
    line = [sys.executable, "-m", "app", "new-key", f"for-{scope}", "--scopes", scope]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    return f"{done.stdout}\n", done.stderr.splitlines()[-1]


def within(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so. Raises `AssertionError` where it does not become so in time."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        try:
            if condition():
                return
        except (httpx.HTTPError, KeyError, ValueError):
            pass
        time.sleep(1)
    raise AssertionError(f"after {WITHIN_S:g} s it is not so: {what}")


@contextmanager
def brought_up(client: Sequence[str], services: Sequence[str], *, keys: bool = False) -> Iterator[Composed]:
    """Bring the services up with a receiver of alerts beside them, and take everything down in the end.

    With `keys`, the service asks for them, and Prometheus has one that may read the metrics alone.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        over = folder / "receiver.yml"
        receiver: dict[str, Any] = {
            "image": "roberta-serve:cpu",
            "entrypoint": ["python", "-c", RECEIVER],
            "networks": ["back"],
        }
        receiver["healthcheck"] = {"disable": True}
        over.write_text(yaml.safe_dump({"services": {"receiver": receiver}}))
        secrets = {"ALERT_WEBHOOK_FILE": secret(folder / "webhook.url", "http://receiver:8080/")}
        files = [ROOT / "docker-compose.yml", over]
        key = ""
        if keys:
            files.insert(1, ROOT / "deploy/docker-compose.keys.yml")
            entries, [key, metrics_key] = zip(*(new_key(scope) for scope in ("predict", "metrics")), strict=True)
            secrets["KEYS_FILE"] = secret(folder / "keys.toml", "".join(entries))
            secrets["METRICS_KEY_FILE"] = secret(folder / "metrics.key", metrics_key)
        free = {variable: str(free_port()) for variable in PORTS}
        composed = Composed(client, files, {**os.environ, **free, **secrets}, key)
        try:
            composed.call("up", "--detach", "--no-build", "receiver", *services)
            yield composed
        finally:
            composed.call("down", "--volumes", "--timeout", "50")


# --- What must be so ------------------------------------------------------------------------------------------------


def the_service_answers(composed: Composed) -> None:
    def status(**headers: str) -> int:
        body = {"inputs": "I love this place."}
        return httpx.post(f"{composed.url('PORT')}/classify", json=body, timeout=30, headers=headers).status_code

    keys = {"Authorization": f"Bearer {composed.key}"} if composed.key else {}
    within(lambda: status(**keys) == 200, "POST /classify is answered 200")
    assert not composed.key or status() == 401, "it is answered without a key"


def every_container_is_healthy(composed: Composed) -> None:
    def healthy() -> bool:
        text = composed.call("ps")
        return "starting" not in text and "unhealthy" not in text and "Exit" not in text

    within(healthy, "docker compose ps shows all as healthy")


def prometheus_scrapes_the_service_by_its_name(composed: Composed) -> None:
    within(lambda: composed.prometheus("query", query='up{job="roberta"} == 1')["result"], "the target is up")
    [target] = [each for each in composed.prometheus("targets")["activeTargets"] if each["labels"]["job"] == "roberta"]
    assert target["scrapeUrl"] == "http://roberta:8001/metrics", target
    rules = [rule for group in composed.prometheus("rules")["groups"] for rule in group["rules"]]
    assert rules
    assert [rule for rule in rules if rule.get("lastError")] == []
    within(lambda: composed.prometheus("alertmanagers")["activeAlertmanagers"], "Prometheus finds Alertmanager")


def an_alert_reaches_the_webhook_and_so_does_its_end(composed: Composed) -> None:
    composed.call("stop", "roberta")
    within(lambda: composed.told("firing"), f"the webhook was told of {DOWN}")
    composed.call("start", "roberta")
    within(lambda: composed.told("resolved"), f"the webhook was told that {DOWN} has ended")


def grafana_has_the_dashboards_and_asks_prometheus(composed: Composed) -> None:
    url = composed.url("GRAFANA_PORT")
    within(lambda: httpx.get(f"{url}/api/health", timeout=10).json()["database"] == "ok", "Grafana is up")
    found = {each["uid"] for each in httpx.get(f"{url}/api/search", params={"tag": "roberta"}, timeout=30).json()}
    drawn = {json.loads(path.read_text("utf-8"))["uid"] for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    assert found == drawn
    proxy = f"{url}/api/datasources/proxy/uid/prometheus/api/v1/query"
    answer = httpx.get(proxy, params={"query": 'up{job="roberta"}'}, timeout=30).json()
    assert answer["data"]["result"]


CHECKS: dict[Callable[[Composed], None], str] = {
    the_service_answers: "roberta",
    every_container_is_healthy: "roberta",
    prometheus_scrapes_the_service_by_its_name: "prometheus",
    grafana_has_the_dashboards_and_asks_prometheus: "grafana",
    an_alert_reaches_the_webhook_and_so_does_its_end: "alertmanager",
}


WITH_KEYS = (the_service_answers, prometheus_scrapes_the_service_by_its_name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.images.composed", description=__doc__)
    parser.add_argument("--client", default="docker compose", help="docker compose, or docker-compose")
    parser.add_argument("--without", default="", help="services that are left out, such as grafana")
    options = parser.parse_args()
    services = [name for name in SERVICES if name not in options.without.split()]
    chosen = [check for check, service in CHECKS.items() if service in services]
    client = options.client.split()
    try:
        with brought_up(client, services) as composed:
            well = [passes(check, composed) for check in chosen]
        say("with deploy/docker-compose.keys.yml:")
        with brought_up(client, ["roberta", "prometheus"], keys=True) as composed:
            well += [passes(check, composed) for check in WITH_KEYS]
    except AssertionError as error:
        say(f"It cannot be brought up, or taken down: {error}")
        return 1
    return int(not all(well))


def passes(check: Callable[[Composed], None], composed: Composed) -> bool:
    """Print whether something is so, and why not, with the end of the logs."""
    began = time.monotonic()
    try:
        check(composed)
        problem = ""
    except AssertionError as error:
        problem = f"{error}\n{composed.call('logs', '--tail', '30')}"
    result = "FAILED" if problem else "ok"
    say(f"{result:6} {check.__name__.replace('_', ' '):60} {time.monotonic() - began:6.1f} s")
    if problem:
        say(problem)
    return not problem


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
