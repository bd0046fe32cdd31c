"""Bundles that nobody vouches for: each is refused by name, in a process with little memory and little time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.app.builders import write_bundle, write_hub_folder
from tests.app.hostile_graphs import GRAPHS, sparse, unlisted_external, write
from tests.support.server import REPOSITORY

MEMORY_MB, CPU_S = 3072, 60
CHILD = """
import json, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) * 2**20,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]),) * 2)
from prometheus_client import CollectorRegistry
from app.metrics import Metrics
from app.serving.loading import Loader
from app.serving.registry import Registry
from app.settings import Settings

models, metrics = Path(sys.argv[1]), Metrics(CollectorRegistry())
registry = Registry("models")
Loader(Settings(models=models, idle_threads=1), "cpu", None, metrics, registry).load()
found = {e.name: e.refused.get(1, "served" if e.model else "") for e in registry.entries}
Path(sys.argv[4]).write_text(json.dumps(found))
"""


def read_all(models, result):
    """Load a models folder in a limited process, and return for each name why it is refused, or `served`."""
    line = [sys.executable, "-c", CHILD, str(models), str(MEMORY_MB), str(CPU_S), str(result)]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(result.read_text())


def edit_json(file, **fields):
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


# --- Files ------------------------------------------------------------------------------------------------


def replace(name, make):
    def apply(folder):
        (folder / name).unlink()
        make(folder / name)

    return apply


def regex(pattern):
    def apply(folder):
        split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        edit_json(folder / "tokenizer.json", pre_tokenizer={"type": "Sequence", "pretokenizers": [split]})

    return apply


def config(**fields):
    return lambda folder: edit_json(folder / "config.json", **fields)


def raw_limit(number):
    return lambda folder: (folder / "tokenizer_config.json").write_text(f'{{"model_max_length": {number}}}')


def larger_vocabulary(folder):
    """The tokenizer of another model, with more tokens than the graph has embeddings for."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"more-{n}": 5000 + n for n in range(10)}
    (folder / "tokenizer.json").write_text(json.dumps(content))


NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
FILES = {
    "fifo-config": (replace("config.json", os.mkfifo), "config.json is not a regular file"),
    "fifo-tokenizer": (replace("tokenizer.json", os.mkfifo), "tokenizer.json is missing"),
    "device": (replace("config.json", lambda file: file.symlink_to("/dev/zero")), "leaves the folder"),
    "link-out": (replace("tokenizer.json", lambda file: file.symlink_to("/etc/passwd")), "leaves the folder"),
    "link-circle": (replace("config.json", lambda file: file.symlink_to(file)), "config.json"),
    "folder-for-a-file": (replace("config.json", os.mkdir), "config.json"),
    "huge-config": (sparse("config.json", 2**40), "config.json is larger than"),
    "huge-tokenizer": (sparse("tokenizer.json", 2**40), "tokenizer.json is larger than"),
    "nested-config": (write("config.json", NESTED), "config.json cannot be read as a JSON object"),
    "nested-tokenizer": (write("tokenizer.json", NESTED), "tokenizer.json cannot be used"),
    "not-a-config": (write("config.json", b"\xff\xfe"), "config.json cannot be read as a JSON object"),
    "number-for-architectures": (write("config.json", b'{"architectures": 1e308}'), "architectures"),
    "many-positions": (config(max_position_embeddings=10**9), "max_length"),
    "infinite-padding": (
        write("config.json", b'{"architectures": ["XForMaskedLM"], "pad_token_id": Infinity}'),
        "config",
    ),
    "catastrophic-pattern": (regex(r"(a+)+$"), r"a pattern that may take long on some text: '(a+)+$'"),
    "quadratic-pattern": (regex(r"a*b"), "a pattern that may take long"),
    "backreference": (regex(r"(a)\1*"), "a pattern that may take long"),
    "larger-vocabulary": (larger_vocabulary, "does not run on token 5009 of tokenizer.json"),
}
SERVED = {
    "limit-infinite": raw_limit("Infinity"),
    "limit-nan": raw_limit("NaN"),
    "limit-float": raw_limit("1e30"),
    "spaces-pattern": regex(r" {2,}"),
    "known-pattern": regex(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
    "as-it-is": lambda folder: None,
}


@pytest.fixture(scope="module")
def reasons(tmp_path_factory, byte_level):
    folder = tmp_path_factory.mktemp("hostile")
    models = folder / "models"
    for name, change in ({n: c for n, (c, _) in (GRAPHS | FILES).items()} | SERVED).items():
        change(write_hub_folder(models / name, byte_level))
    unlisted_external(write_bundle(models, byte_level, name="unlisted-data"))
    return read_all(models, folder / "result")


@pytest.mark.parametrize(("name", "expected"), [(n, r) for n, (_, r) in (GRAPHS | FILES).items()])
def test_it_is_refused_by_name(name, expected, reasons):
    assert expected in reasons[name]


@pytest.mark.parametrize("name", SERVED)
def test_what_is_odd_and_harmless_is_served(name, reasons):
    assert reasons[name] == "served"


def test_data_that_the_manifest_does_not_list_is_refused(reasons):
    assert "'weights.bin', of which the manifest has no sha256" in reasons["unlisted-data"]


def test_no_reason_tells_a_path_of_the_machine(reasons, tmp_path):
    assert str(tmp_path.parent.parent) not in json.dumps(reasons)


# --- Every file, altered at many positions ----------------------------------------------------------------


def positions(size, count=8):
    return sorted({int(place) for place in np.linspace(0, size - 1, count)})


def test_altered_files_are_refused_or_served_and_nothing_else(tmp_path, byte_level):
    """With a manifest each is refused; without one, a flipped bit may be a weight."""
    models, certain = tmp_path / "models", set()
    for file in ("model.onnx", "config.json", "tokenizer.json"):
        source = write_hub_folder(tmp_path / "source" / file, byte_level)
        content = (source / file).read_bytes()
        for place in positions(len(content)):
            for kind, altered in (
                ("cut", content[:place]),
                ("flip", content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]),
            ):
                folder = write_hub_folder(models / f"hub-{file}-{kind}-{place}", byte_level)
                (folder / file).write_bytes(altered)
                name = f"bundle-{file}-{kind}-{place}"
                folder, inside = write_bundle(models, byte_level, name=name), file.replace("model.", "model.fp32.")
                if inside == "model.fp32.onnx":
                    altered = (folder / inside).read_bytes()[: place // 2] + b"\0"
                (folder / inside).write_bytes(altered)
                certain.add(name)
    reasons = read_all(models, tmp_path / "result")
    assert all("altered or half-copied" in reasons[name] for name in certain)
    assert all(reason for reason in reasons.values())
    assert not [reason for reason in reasons.values() if "Error:" in reason]


# --- What is never done -----------------------------------------------------------------------------------

UNPICKLING = re.compile(
    r"^\s*(?:import|from) (?:pickle|shelve|marshal|dill|joblib|cloudpickle)\b|\b(?:np|torch)\.load\(", re.M
)


def test_nothing_is_unpickled_and_no_code_of_a_model_is_run():
    for file in sorted([*(REPOSITORY / "app").rglob("*.py"), *(REPOSITORY / "training").rglob("*.py")]):
        source = file.read_text(encoding="utf-8")
        assert "trust_remote_code=True" not in source, file
        assert "allow_pickle" not in source, file
        if file.is_relative_to(REPOSITORY / "app"):
            assert not UNPICKLING.search(source), file
