"""The files of deploy/ and the containers: well formed, in agreement with each other and with the service."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
COMPOSE = ROOT / "docker-compose.yml"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))


def load(path):
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("deploy/**/*.yml")), COMPOSE], ids=lambda p: p.name)
def test_yaml_parses(path):
    assert isinstance(load(path), dict)


def test_provisioning_agrees_with_compose():
    grafana = load(COMPOSE)["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    provider = load(GRAFANA / "provisioning/dashboards/roberta.yml")["providers"][0]
    folder = provider["options"]["path"]
    assert mounts["./deploy/grafana/dashboards"] == folder
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(folder)
    assert home.name in {path.name for path in DASHBOARDS}
    datasource, traces = load(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"]
    assert datasource["url"] == "http://prometheus:9090"
    interval = load(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]
    assert datasource["jsonData"]["timeInterval"] == interval
    services = load(COMPOSE)["services"]
    [destination] = datasource["jsonData"]["exemplarTraceIdDestinations"]
    assert (destination["name"], destination["datasourceUid"]) == ("trace_id", traces["uid"])
    assert traces["url"] == f"http://{traces['type']}:16686"
    assert services[traces["type"]]["profiles"] == ["tracing"]
    assert "--enable-feature=exemplar-storage" in services["prometheus"]["command"]


def test_prometheus_scrapes_the_service_where_it_listens():
    [job] = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert job["static_configs"] == [{"targets": ["roberta:8001"]}]
    assert "ROBERTA_PORT=8000" in dockerfile
    assert "ROBERTA_ADMIN_PORT=8001" in dockerfile
    assert "EXPOSE 8000 8001" in dockerfile
    assert 'CMD ["python", "-m", "app.commands.health"]' in dockerfile


def test_prometheus_sends_alerts_where_alertmanager_listens():
    [alertmanagers] = load(PROMETHEUS / "prometheus.yml")["alerting"]["alertmanagers"]
    assert alertmanagers["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert any(port.endswith(":9093") for port in load(COMPOSE)["services"]["alertmanager"]["ports"])
