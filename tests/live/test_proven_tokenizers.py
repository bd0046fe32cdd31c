"""What the engine has proved is what every worker reads, whatever becomes of the models folder."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.server import SeveralService, serve_several, until

TEXT = "a good and lovely film"


def alter(models: Path) -> None:
    """Give the tokenizer other ids for its words, as an edit or a half-done copy would."""
    file = models / "tiny-classify" / "1" / "tokenizer.json"
    file.write_text(file.read_text().replace("good", "doog").replace("film", "milf"))


def remove(models: Path) -> None:
    shutil.rmtree(models / "tiny-classify")


def ask(service: SeveralService) -> object:
    """Ask over a new connection, so that any worker may answer."""
    answer = httpx.post(f"{service.url}/classify", json={"inputs": TEXT}, timeout=30)
    return answer.json() if answer.status_code == 200 else answer.status_code


@pytest.mark.parametrize("harm", [alter, remove])
def test_a_worker_that_restarts_reads_what_was_proved(harm, tiny_models, tmp_path):
    models = Path(shutil.copytree(tiny_models, tmp_path / "models"))
    with serve_several(models, tmp_path / "service") as service:
        right = ask(service)
        harm(models)
        for pid in service.processes("worker"):
            os.kill(pid, signal.SIGKILL)
        until(lambda: service.workers_serving() >= 4)
        assert [ask(service) for _ in range(20)] == [right] * 20
