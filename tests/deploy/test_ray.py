"""The manifest of KubeRay is one that a cluster accepts; tests/app/cluster holds what is in it against Ray itself."""

from __future__ import annotations

import pytest

from tests.deploy.rendering import NEWEST, OLDEST, ROOT, load, problems

MANIFEST = ROOT / "deploy/ray/rayservice.yaml"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_cluster_accepts_it(version):
    assert problems(load(MANIFEST), version) == []


def test_an_image_that_was_loaded_into_the_cluster_is_not_pulled():
    """Without a policy, Kubernetes always pulls what is called latest."""
    cluster = load(MANIFEST)["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        [each] = group["template"]["spec"]["containers"]
        assert each["imagePullPolicy"] == "IfNotPresent"


def test_what_such_a_cluster_refuses_is_seen():
    manifest = load(MANIFEST)
    cluster = manifest["spec"]["rayClusterConfig"]
    (workers,) = cluster["workerGroupSpecs"]
    workers["minReplica"] = workers.pop("minReplicas")
    cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["imag"] = "a"
    said = " ".join(problems(manifest))
    for each in ("minReplica'", "'minReplicas' is a required", "num-cpus", "imag"):
        assert each in said
