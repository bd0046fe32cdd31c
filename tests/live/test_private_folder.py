"""The temporary folder that several processes need: not there, not usable, removed while they run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile

import httpx
import pytest

from app.processes.child import CONFIGURATION_EXIT
from app.processes.private_folder import private_folder
from tests.live.test_workers import events
from tests.support.server import REPOSITORY, environment, serve_several, until

BODY = {"inputs": "a good film"}


def test_without_a_writable_temporary_folder_a_sentence_ends_the_command(monkeypatch, capsys):
    def nowhere(**_):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", nowhere)
    with pytest.raises(SystemExit) as caught, private_folder():
        pass
    assert caught.value.code == CONFIGURATION_EXIT
    assert capsys.readouterr().err == (
        "roberta-serve: http_workers needs a writable temporary folder: No usable temporary directory found in "
        "['/tmp']; mount one at /tmp, or name one with TMPDIR\n"
    )


def test_a_path_too_long_for_sockets_ends_the_command(tiny_models, tmp_path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    line = [sys.executable, "-m", "app", "--models", str(tiny_models), "--port", "0", "--http-workers", "1"]
    env = environment() | {"TMPDIR": str(folder)}
    done = subprocess.run(line, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == CONFIGURATION_EXIT
    assert done.stderr.splitlines() == [
        f"roberta-serve: http_workers needs a temporary folder with a shorter path than {folder}; name one with TMPDIR"
    ]
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_removed_is_made_again_and_every_process_with_it(tiny_models, tmp_path):
    with serve_several(tiny_models, tmp_path) as service:
        folder = service.folder_of_sockets()
        before = set(service.processes("engine") + service.processes("worker"))
        shutil.rmtree(folder)
        until(lambda: not before & set(service.processes("engine") + service.processes("worker")))
        until(lambda: service.log().count('"listening"') == 4)
        until(service.is_ready)
        assert [httpx.post(f"{service.url}/classify", json=BODY).status_code for _ in range(10)] == [200] * 10
        until(lambda: service.metric("roberta_requests_total", code="200", task="classify") == 10)
        assert [event["event"] for event in events(service)].count("private_folder_removed") == 1
