"""Publishing that is killed or runs out of space: nothing half-written is ever seen, and what was there stays."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time

import pytest

from app.bundle import read_bundle, versions
from app.bundle.defaults import read_defaults, set_default
from tests.app.builders import write_bundle
from tests.support.server import REPOSITORY

PUBLISH = """
import sys
from pathlib import Path
from tokenizers import Tokenizer
from tests.app.builders import write_bundle
print("begun", flush=True)
while True:
    write_bundle(Path(sys.argv[1]), Tokenizer.from_file(sys.argv[2]))
    print("published", flush=True)
"""


@pytest.mark.parametrize("after_s", [0.0, 0.003, 0.01, 0.02, 0.05])
def test_a_writer_that_is_killed_leaves_whole_versions_only(after_s, tmp_path, byte_level):
    byte_level.save(str(tmp_path / "tokenizer.json"))
    models = tmp_path / "models"
    line = [sys.executable, "-c", PUBLISH, str(models), str(tmp_path / "tokenizer.json")]
    with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        assert process.stdout.readline() == b"published\n"
        time.sleep(after_s)  # at some point of the next version
        process.send_signal(signal.SIGKILL)
    found = versions(models, "toy")
    assert 1 in found
    for version in found:
        assert read_bundle(models / "toy" / str(version), name="toy", version=version).verified
    number = max(found) + 1
    assert write_bundle(models, byte_level) == models / "toy" / str(number)  # what was left is in nobody's way
    assert [path.name for path in (models / "toy").iterdir() if path.name.startswith(".")] == []


LIMITED = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
from app.bundle import new_version
from app.bundle.defaults import set_default
models = Path(sys.argv[1])
try:
    if sys.argv[2] == "version":
        with new_version(models, "toy") as (folder, version):
            (folder / "model.fp32.onnx").write_bytes(bytes(10_000))
    else:
        set_default(models, "classify", "x" * 10_000)
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("what", ["version", "default"])
def test_without_space_nothing_is_left_and_what_was_there_stays(what, tmp_path, byte_level):
    write_bundle(tmp_path, byte_level)
    set_default(tmp_path, "classify", "toy")
    line = [sys.executable, "-c", LIMITED, str(tmp_path), what]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(errno.EFBIG), done.stderr
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["defaults.json", "toy"]
    assert read_bundle(tmp_path / "toy" / "1", name="toy", version=1).verified
    assert read_defaults(tmp_path) == {"classify": "toy"}
