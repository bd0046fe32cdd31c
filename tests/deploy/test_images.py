"""The Dockerfile and the locks: what the images install, who runs, and what the make targets build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
ON_RAY = (ROOT / "deploy/ray/Dockerfile").read_text("utf-8")
STAGES = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
IMAGES = {
    "cpu": ["cpu", "tracing"],
    "gpu": ["gpu", "tracing"],
    "train": ["cpu", "train"],
}  # the extras that each installs
HEALTH = ["CMD", "python", "-m", "app.commands.health"]
PIN = re.compile(r"^([\w.-]+)==([^\s+]+)", re.MULTILINE)  # without what says how a version was built, as in 2.13.0+cpu
UNNEEDED = {"hf-xet", "rich", "typer", "watchfiles", "websockets"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_in(path: str) -> dict[str, str]:
    return {canonical(name): version for name, version in PIN.findall((ROOT / path).read_text("utf-8"))}


@pytest.mark.parametrize("image", IMAGES)
def test_the_lock_has_what_is_needed_in_the_versions_that_are_tested(image):
    """Where this fails after a change of a dependency: `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in IMAGES[image]]
    needed = {canonical(re.match(r"[\w.-]+", each)[0]) for each in sum(extras, project["dependencies"])}
    locked, tested = pins_in(f"deploy/requirements/{image}.txt"), pins_in("constraints.txt")
    assert needed <= locked.keys()
    assert {name: version for name, version in locked.items() if tested.get(name, version) != version} == {}
    assert image == "train" or not ({"torch", "transformers"} | UNNEEDED) & locked.keys()


@pytest.mark.parametrize("lock", [*IMAGES, "sbom"])
def test_every_file_of_a_lock_has_a_hash(lock):
    text = (ROOT / "deploy/requirements" / f"{lock}.txt").read_text("utf-8")
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.-]+==\S+ \\\n", entry), entry
        assert "--hash=sha256:" in entry
    assert re.search(rf"install --require-hashes --no-deps .*-r \S*\b{lock}\.txt", DOCKERFILE)


def test_nothing_is_installed_that_no_lock_has():
    installs = re.findall(r"pip --python .* install .*", DOCKERFILE)
    assert len(installs) == DOCKERFILE.count(" install --r") == 4
    assert "apt-get" not in DOCKERFILE


def test_targets_are_stages_and_the_last_is_what_docker_builds_by_itself():
    assert set(IMAGES) <= set(STAGES)
    assert STAGES[-1] == "cpu"


def test_dependabot_finds_the_base_image():
    """It reads what stands after FROM, and no ARG: dependabot-core's issue 2057."""
    [base] = [image for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) if image not in STAGES]
    assert re.fullmatch(r"python:[\w.-]+(@sha256:[0-9a-f]{64})?", base)


def test_who_runs_owns_nothing_and_signals_arrive():
    assert re.search(r"^USER \d+:\d+$", DOCKERFILE, re.MULTILINE)
    entries = re.findall(r"^(?:ENTRYPOINT|    CMD) (.*)$", DOCKERFILE, re.MULTILINE)
    assert len(entries) == 3
    assert all(entry.startswith('["') for entry in entries), "in the form that no shell runs"


def test_what_is_fetched_is_kept_in_a_volume_that_the_user_may_write_to():
    assert "HF_HOME=/cache" in DOCKERFILE
    user, group = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups()
    assert f"--owner {user} --group 0 --mode 0775 /cache" in DOCKERFILE
    assert f"useradd --uid {user} --gid {group}" in DOCKERFILE


def test_it_names_only_settings_that_exist():
    named = re.findall(r"\bROBERTA_(\w+)=", DOCKERFILE)
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_health_check_is_the_same_where_an_image_cannot_have_one():
    words = re.search(r"^HEALTHCHECK .*\\\n    CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert ["CMD", *yaml.safe_load(words)] == compose["services"]["roberta"]["healthcheck"]["test"] == HEALTH


@pytest.mark.parametrize("text", [DOCKERFILE, ON_RAY], ids=["Dockerfile", "deploy/ray/Dockerfile"])
def test_every_file_that_is_copied_goes_to_the_builder(text):
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*)$", text, re.MULTILINE)
    assert copied
    for words in copied:
        for path in words.split()[:-1]:
            assert (ROOT / path).exists(), path
            assert any(path == each or path.startswith(f"{each}/") for each in sent), path


def test_ray_s_image_copies_what_installing_reads():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    copied = {path for line in re.findall(r"^COPY --\S+ (.*)$", ON_RAY, re.MULTILINE) for path in line.split()[:-1]}
    assert {"pyproject.toml", project["readme"], *project["license-files"], "app", "training"} <= copied
    assert {file.rpartition("/")[2] for file in re.findall(r"-c (\S+)", ON_RAY)} <= copied


# --- make --------------------------------------------------------------------------------------------------


def make(*words: str, **variables: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    env, program = own | variables, shutil.which("make")
    return subprocess.run([program, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize(("engine", "line"), [("docker", "docker build"), ("buildah", "buildah build --format docker")])
def test_make_builds_each_image_and_says_what_it_was_made_of(image, engine, line):
    printed = make("-n", "image", f"TARGET={image}", f"ENGINE={engine}")
    assert printed.startswith(f"{line}  --file" if engine == "docker" else line)
    assert f"--target {image} --tag roberta-serve:{image}" in printed
    for label in ("version", "revision", "created"):
        assert re.search(rf"--label org\.opencontainers\.image\.{label}=\S", printed)


def test_without_a_program_that_builds_the_sentence_says_what_to_install():
    with pytest.raises(subprocess.CalledProcessError) as raised:
        make("image", "ENGINE=")
    assert "docker, podman or buildah is needed" in raised.value.stderr


@pytest.mark.parametrize("engine", ["podman", "buildah"])
def test_it_builds_with_the_one_program_that_there_is(engine, tmp_path):
    for name in ("sh", "sed", "git"):
        (tmp_path / name).symlink_to(shutil.which(name))
    (tmp_path / engine).write_text("#!/bin/sh\n")
    (tmp_path / engine).chmod(0o755)
    assert f"{tmp_path}/{engine} build --format docker" in make("-n", "image", PATH=str(tmp_path))


def test_make_alone_lists_every_target_that_has_a_sentence():
    listed = [line.split()[0] for line in make().splitlines()]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert listed == re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)[1].replace("\\\n", " ").split()
    assert sorted(listed) == sorted(phony)
