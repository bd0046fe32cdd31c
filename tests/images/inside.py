"""What every image must be, whether or not it serves."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app import __version__
from tests.images.engine import Engine

# Of no image, and of none that serves. Each is a module.
NEVER = {"hf_xet", "watchfiles", "websockets", "pip"}
ONLY_TO_TRAIN = {"torch", "transformers", "rich", "typer"}
LOOK = """
import importlib.metadata, importlib.util, json, pathlib, sys
names = sys.argv[1:]
print(json.dumps({
    "found": [name for name in names if importlib.util.find_spec(name) is not None],
    "tests": [str(path) for path in pathlib.Path(sys.prefix).rglob("tests")],
    "installed": {each.name: each.version for each in importlib.metadata.distributions(path=[
        path for path in sys.path if path.startswith(sys.prefix)])},
    "bill": json.loads(pathlib.Path("/srv/sbom.cdx.json").read_text()),
}))
"""


def says_how_it_is_run(engine: Engine, image: str) -> None:
    config = engine.config(image)
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["roberta-train" if image.endswith(":train") else "roberta-serve"]
    assert config["StopSignal"] == "SIGTERM"
    labels: Mapping[str, str] = config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {"org.opencontainers.image.revision", "org.opencontainers.image.created"} <= labels.keys()


def has_its_commands(engine: Engine, image: str) -> None:
    for command in ("roberta-serve", "roberta-train")[: 2 if image.endswith(":train") else 1]:
        done = engine.run(image, "--help", options=("--tmpfs=/tmp", "--workdir=/", f"--entrypoint={command}"))
        assert done.returncode == 0, done.stderr
        assert command in done.stdout


def holds_what_its_bill_of_materials_says(engine: Engine, image: str) -> None:
    unneeded = NEVER if image.endswith(":train") else NEVER | ONLY_TO_TRAIN
    done = engine.run(image, "-c", LOOK, *unneeded, options=("--tmpfs=/tmp", "--entrypoint=python"))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["found"] == []
    assert seen["tests"] == []
    assert seen["bill"]["metadata"]["component"]["version"] == __version__
    billed = {same(each["name"]): each["version"] for each in seen["bill"]["components"]}
    assert billed == {same(name): version for name, version in seen["installed"].items()}


def same(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
