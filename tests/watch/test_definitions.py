"""Rules, alerts and dashboards: well formed, in agreement with the service, with each other and with the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from app.errors import ServeError
from app.tasks import TASKS
from deploy.grafana.draw import drawings
from tests.watch.definitions import (
    ALERTMANAGER,
    DASHBOARDS,
    PROMETHEUS,
    ROOT,
    RULE_FILES,
    TEST_FILES,
    alert_names,
    alerts,
    dashboard_queries,
    dashboards,
    exported,
    families,
    load,
    panels,
    recorded_in,
    rules,
    series_in,
)

QUERIES = dashboard_queries()
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
# Whose fault a refusal before any work is. A new error has to be put into one of the three.
FOR_WANT_OF_CAPACITY = {"queue_full", "displaced", "too_many_connections"}
COUNTED_AMONG_FAILURES = {"not_ready", "deadline_unmeetable"}
OF_CLIENTS = {
    "bad_request",
    "forbidden",
    "head_timeout",
    "head_too_large",
    "invalid_request",
    "malformed_body",
    "method_not_allowed",
    "model_not_found",
    "not_found",
    "order_refused",
    "rate_limited",
    "request_too_large",
    "unauthorized",
    "unsupported_coding",
    "unsupported_media_type",
}


def test_dashboards_are_what_their_scripts_draw():
    """Where this fails: `make dashboards`."""
    assert {path.name: path.read_text("utf-8") for path in DASHBOARDS} == drawings()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_query_names_only_series_that_exist(query):
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert series_in(query.expr) <= exported()
    assert recorded_in(query.expr) <= recorded
    assert series_in(query.expr) | recorded_in(query.expr) | set(re.findall(r"\b(up|ALERTS|process_\w+)\b", query.expr))


def test_every_series_stands_on_a_panel():
    shown = set().union(*(series_in(query.expr) for query in QUERIES))
    own = {series: samples for series, samples in families().items() if series.startswith("roberta_")}
    assert [series for series, samples in own.items() if not samples & shown] == []


def test_rules_name_only_exported_series_and_use_every_recorded_one():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [rule["expr"] for rule in rules()]
    assert set().union(*map(series_in, expressions)) <= exported()
    used = set().union(*map(recorded_in, expressions), *(recorded_in(query.expr) for query in QUERIES))
    assert used - {"task_model:roberta_requests:rate5m"} == recorded - {"task_model:roberta_requests:rate5m"}


def test_nothing_lists_tasks_by_name():
    """A new task is watched without a change here."""
    watched = [rule["expr"] for rule in rules()] + [query.expr for query in QUERIES]
    for task in TASKS.values():
        assert not [expr for expr in watched if f'"{task.route}"' in expr or f'"{task.name}"' in expr]


def test_every_refusal_is_somebodys_fault():
    codes = {error.code for error in ServeError.__subclasses__() if error.before_work}
    assert codes == FOR_WANT_OF_CAPACITY | COUNTED_AMONG_FAILURES | OF_CLIENTS
    [refused] = [rule["expr"] for rule in rules() if rule.get("record") == "roberta_slo:refused_requests:total"]
    named = re.search(r'reason=~"([^"]+)"', refused)
    assert named
    assert set(named[1].split("|")) == FOR_WANT_OF_CAPACITY


# --- Alerts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']} {alert['labels']['severity']}")
def test_an_alert_says_what_to_do_and_has_a_runbook_entry(alert):
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["labels"]["service"] == "roberta"
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert re.search(r": \w", alert["annotations"]["summary"]), "what is so, a colon, what to do"
    assert alert["annotations"]["runbook_url"] == f"docs/operations.md#{alert['alert'].lower()}"
    assert f"\n### {alert['alert']}\n" in OPERATIONS


def test_the_runbook_has_no_entry_of_an_alert_that_is_gone():
    assert set(re.findall(r"^### (Roberta\w+)$", OPERATIONS, re.M)) == alert_names()


def test_every_alert_is_unit_tested_in_each_severity():
    tested = set()
    for path in TEST_FILES:
        tested |= set(re.findall(r'alertname="(\w+)", severity="(\w+)"', path.read_text("utf-8")))
    assert tested == {(alert["alert"], alert["labels"]["severity"]) for alert in alerts()}


# The syntax alone: the file of the key that prometheus.yml names is in the container; rules have a check of their own.
COMMANDS = ["check config --syntax-only prometheus.yml", f"check rules {' '.join(path.name for path in RULE_FILES)}"]
COMMANDS += [f"test rules {path.name}" for path in TEST_FILES]


@pytest.mark.parametrize("command", COMMANDS)
def test_promtool(command):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (it comes with Prometheus)")
    done = subprocess.run(["promtool", *command.split()], cwd=PROMETHEUS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_alertmanager_matches_are_alerts_that_exist():
    text = ALERTMANAGER.read_text("utf-8")
    assert set(re.findall(r"Roberta\w+", text)) <= alert_names()
    receivers = {receiver["name"] for receiver in load(ALERTMANAGER)["receivers"]}
    assert set(re.findall(r"receiver: (\S+)", text)) == receivers


# --- Dashboards -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", dashboards())
def test_panels_explain_themselves_and_do_not_overlap(name):
    taken = set()
    for panel in panels(dashboards()[name]):
        assert panel["description"].endswith("."), panel["title"]
        if panel["type"] != "text":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    identifiers = [panel["id"] for panel in panels(dashboards()[name])]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_leads_to_the_others_and_to_the_runbook(name):
    dashboard = dashboards()[name]
    assert [link["tags"] for link in dashboard["links"]] == [["roberta"]] == [dashboard["tags"]]
    assert "instance" in {variable["name"] for variable in dashboard["templating"]["list"]}


def test_a_service_that_is_down_shows_as_down():
    """A number that is zero where nothing answers would be green."""
    for panel in [panel for each in dashboards().values() for panel in panels(each) if panel["type"] == "stat"]:
        [target] = panel["targets"]
        assert target["instant"], panel["title"]
        if "vector(0)" in target["expr"]:
            assert panel["title"] in ("Instances up", "Alerts")


NUMBERS = [panel for each in dashboards().values() for panel in panels(each) if panel["type"] == "stat"]


@pytest.mark.parametrize("panel", NUMBERS, ids=lambda panel: panel["title"])
def test_a_number_that_is_not_there_is_gray(panel):
    """Grafana gives it the color of the lowest threshold otherwise: green, while the service is down."""
    found = [each["options"] for each in panel["fieldConfig"]["defaults"]["mappings"] if each["type"] == "special"]
    [unknown] = [options for options in found if options["match"] == "null+nan"]
    assert unknown["result"]["color"] == "#808080"
    assert unknown["result"]["text"] == "no data"


def test_whoever_is_called_finds_what_is_needed():
    """Burning budgets over the windows that call somebody, p99 judged by length, instances, answers, the runbook."""
    overview, models = dashboards()["overview"], dashboards()["models"]
    by_title = {
        panel["title"]: panel for each in (overview, models) for panel in panels(each) if panel["type"] != "stat"
    }
    for title in ("Error budget burn", "Latency budget burn"):
        windows = {re.search(r"rate(\d+\w)", each["expr"])[1] for each in by_title[title]["targets"]}
        assert {"5m", "30m", "1h", "6h"} <= windows
    assert "per_window" in by_title["p99 for each window"]["targets"][0]["expr"]
    assert by_title["Answers Prometheus"]["targets"][0]["expr"].startswith("up{")
    assert "label" in by_title["Answers by label"]["targets"][0]["expr"]
    assert "roberta_answer_confidence" in by_title["Mean confidence"]["targets"][0]["expr"]
    [alerts_now] = [panel for panel in NUMBERS if panel["title"] == "Alerts"]
    for panel in (alerts_now, by_title["Alerts"]):
        links = panel["fieldConfig"]["defaults"]["links"]
        assert [link["url"] for link in links] == ["/d/roberta-runbook"]
    assert {each["uid"] for each in dashboards().values()} >= {"roberta-runbook"}


def test_batch_sizes_are_counts_of_buckets():
    """A quantile, or a line between two of them, would be a number of windows that no batch had."""
    shown = [panel for each in dashboards().values() for panel in panels(each) if "batch" in panel["title"].lower()]
    buckets = [panel for panel in shown if "_bucket" in panel["targets"][0]["expr"]]
    assert {panel["type"] for panel in buckets} == {"heatmap"}
    assert len(buckets) == 2
    assert not [query for query in QUERIES if "quantile" in query.expr and "batch" in query.expr]
