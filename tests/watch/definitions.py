"""What the watching consists of: the rules of Prometheus and the queries of the dashboards, as they are deployed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from app.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
RULE_FILES = [PROMETHEUS / name for name in ("records.yml", "alerts.yml")]
TEST_FILES = sorted(PROMETHEUS.glob("*_test.yml"))
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
DURATION = re.compile(r"(?<=\[)\d+[smhd](?=[\]:])|(?<=\d[smhd]:)\d+[smhd](?=\])|(?<=offset )\d+[smhd]\b")
BURN = re.compile("Burn|ratio_rate|[Aa]nswers")
TIMES, BURN_TIMES = 60.0, 600.0  # a minute in a second; the days of burn rates and of drift in minutes
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Query:
    """A query and where it stands."""

    where: str
    expr: str

    def chosen(self, interval: str) -> str:
        """Return it as Grafana asks it where everything is chosen."""
        expr = self.expr.replace("$__rate_interval", interval)
        return re.sub(r"\$(instance|task|model)\b", ".*", expr)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for path in RULE_FILES for group in load(path)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def alert_names() -> set[str]:
    return {alert["alert"] for alert in alerts()}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def dashboards() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in DASHBOARDS}


def dashboard_queries() -> list[Query]:
    """Return the queries of panels, annotations and variables."""
    found = []
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            found += [Query(f"{name}: {panel['title']}", each["expr"]) for each in panel.get("targets", ())]
        for each in dashboard["annotations"]["list"]:
            found.append(Query(f"{name}: mark {each['name']}", each["expr"]))
        for each in dashboard["templating"]["list"]:
            if each["type"] == "query":
                series = re.fullmatch(r"label_values\((.+), \w+\)", each["definition"])
                assert series, each["definition"]
                found.append(Query(f"{name}: variable {each['name']}", series[1]))
    return found


def recording_queries() -> list[Query]:
    return [Query(rule["record"], rule["record"]) for rule in rules() if "record" in rule]


def families() -> dict[str, set[str]]:
    """Return the names of the samples of every series that the service may expose, by the name of the series."""
    registry = CollectorRegistry()
    Metrics(registry)
    return {
        family.name: {family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))}
        for family in registry.collect()
    }


def exported() -> set[str]:
    return set().union(*families().values())


def series_in(expr: str) -> set[str]:
    """Return the names of the service's series in a query; those with a colon are recorded by rules."""
    return set(re.findall(r"(?<![\w:])roberta_\w+(?![\w:])", expr))


def recorded_in(expr: str) -> set[str]:
    return set(re.findall(r"\w+:\w+:\w+", expr))


# --- On a faster clock --------------------------------------------------------------------------------------


def seconds(duration: str) -> float:
    return int(duration[:-1]) * UNITS[duration[-1]]


def hastened(document: dict[str, Any]) -> dict[str, Any]:
    """Return a file of rules whose windows and waits are so many times shorter, two seconds and one at least."""
    groups = [
        {"name": group["name"], "rules": [hastened_rule(rule) for rule in group["rules"]]}
        for group in document["groups"]
    ]
    return {"groups": groups}


def hastened_rule(rule: dict[str, Any]) -> dict[str, Any]:
    times = BURN_TIMES if BURN.search(rule.get("alert") or rule["record"]) else TIMES
    changed = {**rule, "expr": DURATION.sub(lambda found: shorter(found[0], times, 2), rule["expr"])}
    if "for" in rule:
        changed["for"] = shorter(rule["for"], times, 1)
    return changed


def shorter(duration: str, times: float, least_s: float) -> str:
    return f"{round(max(least_s, seconds(duration) / times) * 1000)}ms"
