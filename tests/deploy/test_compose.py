"""docker-compose.yml and the files over it: against the schema, the client, the Dockerfile and the settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from app.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
OVERRIDES = sorted((ROOT / "deploy").glob("docker-compose.*.yml"))
COMPOSE = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
STAGES = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
SERVING = ("roberta", "roberta-gpu")
WATCHING = ("prometheus", "alertmanager", "grafana")
OUTSIDE = {"HF_TOKEN", "OTEL_EXPORTER_OTLP_ENDPOINT"}  # settings of libraries


def default(value: str) -> str:
    """Return a value where no variable of the shell is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


@pytest.mark.parametrize("file", [FILE, *OVERRIDES], ids=lambda file: file.name)
def test_it_is_what_the_specification_of_compose_allows(file):
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(yaml.safe_load(file.read_text("utf-8")))


@pytest.mark.parametrize("file", [None, *OVERRIDES], ids=lambda file: file.name if file else "alone")
def test_the_client_of_compose_reads_it(file, tmp_path):
    client = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    try:
        version = subprocess.run([*client, "version", "--short"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no client of compose is installed")
    if version.startswith("1."):
        pytest.skip("the client of compose is of version 1")
    over = ["--file", str(file)] if file else []
    line = [*client, "--file", str(FILE), *over, "--profile", "*", "config", "--quiet"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_images_are_pinned_and_mounts_exist():
    for name, service in SERVICES.items():
        own = service["image"].startswith("roberta-serve:") and service["build"]["target"] in service["image"]
        assert own or re.search(r":v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$", service["image"]), name
        for volume in service.get("volumes", ()):
            source = default(volume).split(":")[0]
            assert not source.startswith("./") or source == "./runs" or (ROOT / source).is_dir(), volume


def test_targets_are_stages_of_the_dockerfile():
    over = yaml.safe_load((ROOT / "deploy/docker-compose.gpu.yml").read_text("utf-8"))["services"]["roberta"]
    targets = {default(each["build"]["target"]) for each in (*SERVICES.values(), over) if "build" in each}
    assert targets == {"cpu", "gpu", "train"} <= set(STAGES)


def test_profiles_bring_what_is_not_always_there():
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    always = {name for name, those in profiles.items() if not those}
    assert always == {"roberta", *WATCHING}
    assert {name: those for name, those in profiles.items() if those} == {
        "roberta-gpu": ["gpu"],
        "train": ["train"],
        "jaeger": ["tracing"],
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_hardened(name):
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "pids_limit", "networks", "restart"} <= service.keys()
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] or name == "grafana"


def test_what_others_wait_for_says_when_it_is_healthy():
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}, name
            assert "healthcheck" in SERVICES[other]
    assert "prometheus" in SERVICES["grafana"]["depends_on"]
    assert "alertmanager" in SERVICES["prometheus"]["depends_on"]


def test_the_public_reaches_the_service_and_nothing_that_watches_it():
    for name, service in SERVICES.items():
        if name not in SERVING:
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert ("front" in service["networks"]) == (name in (*SERVING, "train")), name
    published = [default(port).split(":") for name in SERVING for port in SERVICES[name]["ports"]]
    assert [port for _, port in published] == ["8000", "8000"], "the admin port is not"
    assert len({host for host, _ in published}) == 2


def test_prometheus_reaches_every_service_where_it_listens():
    [job] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    found = [name for each in job["dns_sd_configs"] for name in each["names"]]
    assert {*found, *(target.split(":")[0] for target in job["static_configs"][0]["targets"])} == set(SERVING)
    for name in SERVING:
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
    key = job["authorization"]["credentials_file"]
    assert key in [f"/run/secrets/{secret}" for secret in SERVICES["prometheus"]["secrets"]]


def test_secrets_are_files_that_are_mounted_where_they_are_read():
    for secret in COMPOSE["secrets"].values():
        assert (ROOT / default(secret["file"])).is_file()
    named = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}
    assert named == COMPOSE["secrets"].keys()
    receivers = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text("utf-8"))["receivers"]
    hooks = {hook["url_file"] for receiver in receivers for hook in receiver["webhook_configs"]}
    assert hooks == {f"/run/secrets/{secret}" for secret in SERVICES["alertmanager"]["secrets"]}


def test_keys_are_switched_on_by_one_file():
    over = yaml.safe_load((ROOT / "deploy/docker-compose.keys.yml").read_text("utf-8"))
    assert over["services"].keys() == set(SERVING), "none is left open"
    for service in over["services"].values():
        assert service["environment"] == {"ROBERTA_API_KEYS_FILE": f"/run/secrets/{service['secrets'][0]}"}
        assert service["secrets"] == [*over["secrets"]]
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert {f"/{default(secret['file']).removeprefix('./')}" for secret in over["secrets"].values()} <= {*ignored}


def test_settings_that_are_passed_on_exist():
    for file in (FILE, *OVERRIDES):
        for name, service in yaml.safe_load(file.read_text("utf-8"))["services"].items():
            if name in (*SERVING, "train"):
                own = service.get("environment", {}).keys() - OUTSIDE
                assert {each.removeprefix("ROBERTA_").lower() for each in own} <= set(Settings.model_fields), file


def test_it_waits_longer_than_the_service_drains():
    delay = re.search(r"ROBERTA_SHUTDOWN_DELAY_S=(\d+)", DOCKERFILE)
    longest = Settings.model_fields["drain_timeout_s"].default + float(delay[1])
    for name in SERVING:
        assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) > longest


def test_what_is_fetched_is_kept_in_a_volume():
    for name in SERVING:
        assert "hub-cache:/cache" in SERVICES[name]["volumes"]


def test_who_trains_as_somebody_else_can_keep_what_is_fetched_and_keeps_nobody_from_it():
    """Folders of the cache are made for their owner alone; /cache itself may be written to by its group."""
    train = SERVICES["train"]
    [cache] = [volume for volume in train["volumes"] if volume.endswith(":/cache")]
    assert all(cache not in SERVICES[name]["volumes"] for name in SERVING)
    assert cache.split(":")[0] in COMPOSE["volumes"]
    assert re.search(r"--group (\d+) --mode 0775 /cache", DOCKERFILE)[1] in train["group_add"]
