"""schemathesis finds nothing: what the OpenAPI document says is true of the live service, with every check on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.app.builders import write_bundle
from tests.support.embedding import with_embedding
from tests.support.server import REPOSITORY, SHAPES, serve_as

KEY = "a-key-for-schemathesis"
CONFIGURATION = REPOSITORY / "tests" / "support" / "schemathesis.toml"
SETTINGS = {"max_inputs": 4, "max_body_bytes": 65536}
# Without keys in the one shape, with a key in the other.
CASES = [
    (SHAPES[0], {}, ""),
    (SHAPES[1], {"api_keys": [KEY], "access": {"docs": "open"}}, f'[auth.openapi.key]\nbearer = "{KEY}"\n'),
]


@pytest.mark.parametrize(("shape", "settings", "more"), CASES, ids=SHAPES)
def test_the_document_is_true(shape, settings, more, tiny_models, tiny_reader_models, tokenizer, tmp_path):
    models = with_embedding(tiny_models, tokenizer.backend_tokenizer, tmp_path / "models")
    shutil.copytree(tiny_reader_models, models, dirs_exist_ok=True)
    write_bundle(models, tokenizer.backend_tokenizer, "toy-nli", labels=["contradiction", "neutral", "entailment"])
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.read_text() + more)
    with serve_as(shape, models, tmp_path, **SETTINGS, **settings) as service:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
            *("run", f"{service.url}/openapi.json"),
            *("--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "10", "--generation-deterministic", "--no-shrink"),
            *(
                "--continue-on-failure",
                "--suppress-health-check",
                "all",
                "--request-timeout",
                "60",
                "--warnings",
                "off",
            ),
        ]
        variables = {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "NO_COLOR": "1"}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | variables | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
