"""The files of deploy/ and the containers: well formed, in agreement with each other and with the service."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from app.settings import Settings

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


def test_what_watches_is_bounded_and_starts_in_order():
    services = load(COMPOSE)["services"]
    for name in ("prometheus", "alertmanager", "grafana"):
        service = services[name]
        assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= service.keys(), name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        after = service.get("depends_on", {})
        assert all(each == {"condition": "service_healthy"} for each in after.values()), name
    assert "prometheus" in services["grafana"]["depends_on"]
    assert "alertmanager" in services["prometheus"]["depends_on"]
    assert all(set(service["logging"]["options"]) == {"max-size", "max-file"} for service in services.values())


def test_secrets_are_files_that_are_mounted_where_they_are_read():
    compose = load(COMPOSE)
    for name, service in compose["services"].items():
        for secret in service.get("secrets", ()):
            default = re.fullmatch(r"\$\{\w+:-(.+)\}", compose["secrets"][secret]["file"])
            assert default, secret
            assert (ROOT / default[1]).is_file(), name
    receivers = load(ALERTMANAGER)["receivers"]
    files = {hook["url_file"] for receiver in receivers for hook in receiver["webhook_configs"]}
    assert files == {f"/run/secrets/{name}" for name in compose["services"]["alertmanager"]["secrets"]}


def test_prometheus_sends_alerts_where_alertmanager_listens():
    [alertmanagers] = load(PROMETHEUS / "prometheus.yml")["alerting"]["alertmanagers"]
    assert alertmanagers["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert any(port.endswith(":9093") for port in load(COMPOSE)["services"]["alertmanager"]["ports"])


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
