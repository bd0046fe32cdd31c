"""What of a command line can be held against the code without running it, by the program that it calls."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from app.command_line.command import Command
from app.command_line.parser import WRONG_FLAGS
from app.commands.verbs import COMMAND as SERVE
from app.settings import Settings
from tests.documents.reading import ROOT, Call
from training.commands.verbs import COMMAND as TRAIN

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
# What an image runs, by the stage of the Dockerfile.
IMAGES: Mapping[str, Command] = {"cpu": SERVE, "gpu": SERVE, "train": TRAIN}
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
VALUES = yaml.safe_load((ROOT / "deploy/kubernetes/roberta-serve/values.yaml").read_text(encoding="utf-8"))
WITH_VALUE = {
    "-p",
    "-v",
    "-e",
    "-f",
    "-t",
    "--user",
    "--gpus",
    "--tmpfs",
    "--cap-drop",
    "--security-opt",
    "--env-file",
} | {
    "--profile",
    "--target",
    "--network",
    "--build-arg",
    "--signal",
}
# Programs of others; what they are given is no flag of ours.
FOREIGN = {
    "printf",
    "export",
    "git",
    "mkdir",
    "ray",
    "apt-get",
    "promtool",
    "grep",
    "open",
    "kill",
    "cat",
    "cp",
    "openssl",
}


def check_call(call: Call, *, is_whole: bool) -> None:
    """Fail where a call names what there is not. `is_whole`: all arguments are given, and the files are there."""
    for name in call.environment:
        if name.startswith("ROBERTA_"):
            assert is_setting(name), f"there is no setting {name}"
    if call.program not in FOREIGN:
        assert call.program in CHECKS, f"nobody checks what is given to {call.program!r}"
        CHECKS[call.program](call.words, is_whole)


def is_setting(name: str) -> bool:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return name.removeprefix("ROBERTA_").lower() in Settings.model_fields or f"${{{name}" in compose


# --- Our commands ---------------------------------------------------------------------------------------------


def check_verb(command: Command, words: Sequence[str], is_whole: bool) -> None:
    if words and words[0].isupper():  # stands for any verb
        return
    try:
        verb, rest = command.choose(words)
        if rest or is_whole:
            parser = command.verbs[verb].parser()
            parser.read(rest) if is_whole else parser.parse_args(rest)
    except SystemExit as ended:
        if ended.code == WRONG_FLAGS:
            pytest.fail(f"{command.name} {' '.join(words)}")


def check_make(words: Sequence[str], is_whole: bool) -> None:
    for word in words:
        name, is_set, value = word.partition("=")
        if not is_set:
            assert word in TARGETS, f"make has no target {word}"
            continue
        assert f"$({name})" in MAKEFILE, f"the Makefile reads no {name}"
        assert name != "TARGET" or value in IMAGES


def check_python(words: Sequence[str], is_whole: bool) -> None:
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file(), words[0]
        check_flags(ROOT / words[0], words[1:])
        return
    module, rest = words[1], words[2:]
    if module in ("app", "training"):
        check_verb({"app": SERVE, "training": TRAIN}[module], rest, is_whole)
        return
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"there is no module {module}"
    if module.startswith("benchmarks"):
        check_flags(ROOT / "benchmarks", rest)


def check_flags(place: Path, words: Sequence[str]) -> None:
    """Fail where a flag does not stand in a file, or in one of a folder."""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [word for word in words if word.startswith("--") and word.partition("=")[0] not in code] == []


def check_torchrun(words: Sequence[str], is_whole: bool) -> None:
    check_python(words[words.index("-m") :], is_whole)


def check_pip(words: Sequence[str], is_whole: bool) -> None:
    assert words[0] == "install"
    for word in words[1:]:
        for extra in (extra for extras in re.findall(r"^\.\[(.*)\]$", word) for extra in extras.split(",")):
            assert extra in EXTRAS, f"there is no extra {extra}"
        assert "/" not in word or (ROOT / word / "pyproject.toml").is_file(), word
        assert not word.endswith(".txt") or (ROOT / word).is_file(), word


# --- Containers and clusters ----------------------------------------------------------------------------------


def by_place(words: Sequence[str]) -> list[str]:
    """Return the words that are neither flags nor their values, up to the end."""
    left, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            return [*left, word, *rest]
        if word in WITH_VALUE and rest:
            rest.pop(0)
    return left


def check_docker(words: Sequence[str], is_whole: bool) -> None:
    verb, *rest = words
    if verb == "compose":
        check_compose(rest, is_whole)
    elif verb == "run" and (left := by_place(rest)):
        name, _, stage = left[0].partition(":")
        assert (name, stage in IMAGES) == ("roberta-serve", True), left[0]
        check_image(stage, left[1:], is_whole)
    elif verb == "build":
        assert all(word in IMAGES for flag, word in pairwise(rest) if flag == "--target")
        check_files(rest)


def check_image(stage: str, words: Sequence[str], is_whole: bool) -> None:
    """Fail where an image cannot be given these words. The files that it sees are the container's."""
    command = IMAGES[stage]
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    runs = {part.split()[2] for part in stages[1:] if f'ENTRYPOINT ["{command.name}"]' in part}
    assert stage in runs or any(f"service AS {stage}" in part for part in stages)
    check_verb(command, words, is_whole=False)


def check_compose(words: Sequence[str], is_whole: bool) -> None:
    check_files(words)
    profiles = {name for service in COMPOSE["services"].values() for name in service.get("profiles", ())}
    assert all(word in profiles for flag, word in pairwise(words) if flag == "--profile")
    verb, *rest = by_place(words) or [""]
    if verb in ("kill", "logs", "restart", "run", "up") and (left := by_place(rest)):
        assert left[0] in COMPOSE["services"], left[0]
        if verb == "run":
            check_verb(IMAGES[left[0]], left[1:], is_whole=False)


def check_cluster(words: Sequence[str], is_whole: bool) -> None:
    """Of helm, kubectl and Ray's `serve`: files and values that there are."""
    check_files(words)
    for flag, word in pairwise(words):
        if flag == "--set":
            value = VALUES
            for part in word.partition("=")[0].split("."):
                assert part in value, f"the chart has no value {word}"
                value = value[part]


def check_files(words: Sequence[str]) -> None:
    for word in words:
        if word.startswith("deploy/") or word.endswith((".yml", ".yaml")):
            assert (ROOT / word).exists(), f"there is no {word}"


def check_curl(words: Sequence[str], is_whole: bool) -> None:
    """Live tests ask what blocks ask."""


Check = Callable[[Sequence[str], bool], None]
CHECKS: dict[str, Check] = {
    "roberta-serve": lambda words, is_whole: check_verb(SERVE, words, is_whole),
    "roberta-train": lambda words, is_whole: check_verb(TRAIN, words, is_whole),
    "make": check_make,
    "python": check_python,
    "torchrun": check_torchrun,
    "pip": check_pip,
    "docker": check_docker,
    "helm": check_cluster,
    "kubectl": check_cluster,
    "serve": check_cluster,
    "curl": check_curl,
}
