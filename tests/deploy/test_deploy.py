"""The files of deploy/ and the containers: well formed, in agreement with each other and with the service."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from app.metrics import Metrics
from app.settings import Settings

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"
COMPOSE = ROOT / "docker-compose.yml"
RULES = PROMETHEUS / "rules.yml"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def load(path):
    return yaml.safe_load(path.read_text("utf-8"))


def families():
    """The names of the samples of every series that the service may expose, by the name of the series."""
    registry = CollectorRegistry()
    Metrics(registry)
    return {f.name: {f.name + suffix for suffix in SUFFIXES.get(f.type, ("",))} for f in registry.collect()}


def exported():
    return set().union(*families().values())


def panels(dashboard):
    """Panels, those inside collapsed rows included; rows left out."""
    every = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", ()))]
    return [panel for panel in every if panel["type"] != "row"]


def dashboard_expressions(dashboard):
    expressions = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    expressions += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    return expressions + [variable.get("definition", "") for variable in dashboard["templating"]["list"]]


def rules():
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def named_metrics(expressions):
    # No colon beside it: a:roberta_requests:rate5m is recorded by a rule and not exported.
    return {name for text in expressions for name in re.findall(r"(?<![\w:])roberta_\w+(?![\w:])", text)}


def unknown_metrics(expressions):
    named = named_metrics(expressions)
    assert named, "no metric found: has the spelling changed?"
    return named - exported()


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("deploy/**/*.yml")), COMPOSE], ids=lambda p: p.name)
def test_yaml_parses(path):
    assert isinstance(load(path), dict)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_dashboard_names_only_exported_metrics(path):
    assert not unknown_metrics(dashboard_expressions(json.loads(path.read_text("utf-8"))))


def test_every_series_stands_on_a_panel():
    dashboards = [json.loads(path.read_text("utf-8")) for path in DASHBOARDS]
    shown = named_metrics(
        target["expr"] for dashboard in dashboards for p in panels(dashboard) for target in p["targets"]
    )
    own = {series: samples for series, samples in families().items() if series.startswith("roberta_")}
    assert [series for series, samples in own.items() if not samples & shown] == []


def test_rules_name_only_exported_metrics():
    assert not unknown_metrics([rule["expr"] for rule in rules()])


def test_rules_use_every_recorded_series_and_no_other():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = {name for rule in rules() for name in re.findall(r"\w+:\w+:\w+", rule["expr"])}
    assert used == recorded


def test_every_alert_is_unit_tested():
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    tested = set(re.findall(r'alertname="(\w+)"', (PROMETHEUS / "rules_test.yml").read_text("utf-8")))
    assert tested == alerts


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_dashboard_panels_explain_themselves_and_do_not_overlap(path):
    dashboard = json.loads(path.read_text("utf-8"))
    taken = set()
    for panel in panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    identifiers = [panel["id"] for panel in panels(dashboard)]
    assert len(identifiers) == len(set(identifiers))


def test_provisioning_agrees_with_compose():
    grafana = load(COMPOSE)["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    provider = load(GRAFANA / "provisioning/dashboards/roberta.yml")["providers"][0]
    folder = provider["options"]["path"]
    assert mounts["./deploy/grafana/dashboards"] == folder
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(folder)
    assert home.name in {path.name for path in DASHBOARDS}
    [datasource] = load(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"]
    assert datasource["url"] == "http://prometheus:9090"
    interval = load(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]
    assert datasource["jsonData"]["timeInterval"] == interval


def test_prometheus_scrapes_the_service_where_it_listens():
    [job] = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert job["static_configs"] == [{"targets": ["roberta:8001"]}]
    assert "ROBERTA_PORT=8000" in dockerfile
    assert "ROBERTA_ADMIN_PORT=8001" in dockerfile
    assert "EXPOSE 8000 8001" in dockerfile
    assert 'CMD ["python", "-m", "app.commands.health"]' in dockerfile


def test_compose_images_are_pinned_and_mounts_exist():
    for name, service in load(COMPOSE)["services"].items():
        assert re.search(r":(v?\d+\.\d+\.\d+|\$\{ROBERTA_TARGET:-cpu\})$", service["image"]), name
        for volume in service["volumes"]:
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).is_dir(), volume


def test_containers_name_only_settings_that_exist():
    dockerfile = re.findall(r"\bROBERTA_(\w+)=", (ROOT / "Dockerfile").read_text("utf-8"))
    environment = load(COMPOSE)["services"]["roberta"]["environment"]
    compose = [name.removeprefix("ROBERTA_") for name in environment if name != "HF_TOKEN"]
    assert {name.lower() for name in dockerfile + compose} <= set(Settings.model_fields)


def test_what_is_fetched_is_kept_in_a_volume_that_the_user_may_write_to():
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert "hub-cache:/cache" in load(COMPOSE)["services"]["roberta"]["volumes"]
    assert "HF_HOME=/cache" in dockerfile
    assert "chown 10001:10001 /cache" in dockerfile


def test_compose_waits_longer_than_the_service_drains():
    grace = load(COMPOSE)["services"]["roberta"]["stop_grace_period"]
    delay = re.search(r"ROBERTA_SHUTDOWN_DELAY_S=(\d+)", (ROOT / "Dockerfile").read_text("utf-8"))
    assert delay
    assert float(grace.removesuffix("s")) > Settings.model_fields["drain_timeout_s"].default + float(delay[1])


def test_targets_of_compose_are_stages_of_the_dockerfile():
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    gpu = load(ROOT / "deploy/docker-compose.gpu.yml")["services"]["roberta"]["build"]["target"]
    assert stages[-1] == "cpu", "the last stage is what `docker build .` makes"
    assert gpu in stages


@pytest.mark.parametrize(
    "command", ["check config prometheus.yml", "check rules rules.yml", "test rules rules_test.yml"]
)
def test_promtool(command):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (it comes with Prometheus)")
    done = subprocess.run(["promtool", *command.split()], cwd=PROMETHEUS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- What the images install ------------------------------------------------------------------------------

LOCKED = ["cpu"]
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_in(path):
    return {canonical(name): version for name, version in PIN.findall((ROOT / path).read_text("utf-8"))}


@pytest.mark.parametrize("extra", LOCKED)
def test_the_lock_has_what_the_service_needs_in_the_versions_that_are_tested(extra):
    """Where this fails after a change of a dependency: `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"][extra]]
    locked, tested = pins_in(f"deploy/requirements/{extra}.txt"), pins_in("constraints.txt")
    assert {canonical(re.match(r"[\w.-]+", requirement)[0]) for requirement in needed} <= locked.keys()
    assert {name: version for name, version in locked.items() if tested.get(name, version) != version} == {}
    assert not {"torch", "transformers"} & locked.keys()


@pytest.mark.parametrize("extra", LOCKED)
def test_every_file_of_the_lock_has_a_hash(extra):
    lock = (ROOT / "deploy/requirements" / f"{extra}.txt").read_text("utf-8")
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        assert re.match(r"[\w.-]+==\S+ \\\n", entry), entry
        assert "--hash=sha256:" in entry
    assert f"--require-hashes --no-deps -r {extra}.txt" in (ROOT / "Dockerfile").read_text("utf-8")
