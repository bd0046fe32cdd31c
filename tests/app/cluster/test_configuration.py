"""The files that `serve deploy` is given are such as Ray understands, and name what is there."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "ray"

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own code


def embedded():
    """Return the configuration in the manifest of KubeRay."""
    return yaml.safe_load(yaml.safe_load((FOLDER / "rayservice.yaml").read_text())["spec"]["serveConfigV2"])


CONFIGURATIONS = {
    "serve.yaml": yaml.safe_load((FOLDER / "serve.yaml").read_text()),
    "try.yaml": yaml.safe_load((FOLDER / "try.yaml").read_text()),
    "listening.yaml": yaml.safe_load((FOLDER / "listening.yaml").read_text()),
    "rayservice.yaml": embedded(),
}


def named(path):
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_ray_takes_it(name):
    from ray.serve import schema
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary as call_builder

    parsed = schema.ServeDeploySchema.model_validate(CONFIGURATIONS[name])
    (application,) = parsed.applications
    (deployment,) = application.deployments
    bound = call_builder(named(application.import_path), application.args)
    assert bound._bound_deployment.name == deployment.name
    if name != "try.yaml":
        policy = deployment.autoscaling_config["policy"]
        assert named(policy["policy_function"])(**policy["policy_kwargs"])
    assert Settings(**application.args)


def test_the_one_to_try_needs_one_core_of_one_machine_and_finds_the_shipped_models(monkeypatch):
    (application,) = CONFIGURATIONS["try.yaml"]["applications"]
    (deployment,) = application["deployments"]
    assert (deployment["num_replicas"], deployment["ray_actor_options"]) == (1, {"num_cpus": 1})
    monkeypatch.setenv("ROBERTA_MODELS", str(ROOT / "models"))
    assert Settings(**application["args"]).models == ROOT / "models"


def test_the_manifest_has_the_configuration_of_the_file():
    assert embedded() == CONFIGURATIONS["serve.yaml"]
