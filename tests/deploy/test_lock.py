"""Locks are what `make lock` would write: a change of pyproject.toml or constraints.txt without it shows here.

Without the package index: what a package needs is read from those that are installed, in the image's Python. Of the
GPU image not all are.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.test_images import DOCKERFILE, IMAGES, pins_in

ROOT = Path(__file__).parents[2]
LEFT_OUT = {"hf-xet"}  # by `make lock`
IMAGE = {"sys_platform": "linux", "platform_system": "Linux", "platform_python_implementation": "CPython"}


def image_environment(extra: str) -> dict[str, str]:
    found = re.search(r"python:(\d+\.\d+)", DOCKERFILE)
    assert found
    version = found[1]
    return {**IMAGE, "python_version": version, "python_full_version": f"{version}.0", "extra": extra}


def needed_by_image(image: str) -> dict[str, list[Requirement]]:
    """Return all that the image installs, by name, each with every requirement that somebody has of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in IMAGES[image]]
    waiting = [Requirement(each) for each in sum(extras, project["dependencies"])]
    found: dict[str, list[Requirement]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        found.setdefault(name, []).append(asked)
        if (key := (name, frozenset(asked.extras))) not in seen:
            seen.add(key)
            waiting += behind(asked)
    return found


def behind(asked: Requirement) -> list[Requirement]:
    """Return what a package needs in the image, for the extras that it is asked for with."""
    needed = [Requirement(line) for line in requires(asked.name) or []]
    environments = [image_environment(extra) for extra in ("", *asked.extras)]
    return [
        each for each in needed if each.marker is None or any(each.marker.evaluate(given) for given in environments)
    ]


@pytest.fixture(scope="module", params=["cpu", "train"])
def image(request):
    """What an image needs, and what its lock has."""
    return needed_by_image(request.param), pins_in(f"deploy/requirements/{request.param}.txt")


def test_the_lock_has_what_the_image_needs_and_nothing_else(image):
    """Where this fails: `make lock`."""
    needed, locked = image
    assert locked.keys() == needed.keys() - LEFT_OUT


def test_every_version_of_the_lock_is_one_that_is_asked_for(image):
    """Where this fails: `make lock`."""
    needed, locked = image
    wrong = [
        f"{each} but {locked[name]} is locked"
        for name in locked.keys() & needed.keys()
        for each in needed[name]
        if not each.specifier.contains(locked[name], prereleases=True)
    ]
    assert wrong == []


def test_every_version_of_the_lock_is_the_one_that_is_tested():
    """Where this fails: `make lock`, after a line for what is new in constraints.txt."""
    locked, tested = pins_in("deploy/requirements/cpu.txt"), pins_in("constraints.txt")
    assert {name: version for name, version in locked.items() if tested.get(name) != version} == {}
