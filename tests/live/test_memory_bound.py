"""A mix of the worst requests within the limits, at once: the memory of the processes stays within what is stated."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.processes.metrics import children_of
from tests.support.meter import memory_of
from tests.support.server import SHAPES, command, serve_several

MOST_ADDED = 400e6  # of all processes together; without bounds this mix takes gigabytes
MASKS = {"inputs": "<mask> " * 200, "parameters": {"top_k": 1}}
WORST = [
    *[("fill-mask", MASKS)] * 4,
    *[("ner", {"inputs": "a " * 1_900_000})] * 4,
    *[("ner", {"inputs": "Angela Merkel met Tim Cook. " * 17_000})] * 2,
    *[("ner", {"inputs": "a " * 490_000, "truncate": True})] * 4,
    *[("ner", {"inputs": "a", "parameters": {"ignore_labels": [1] * 1_000_000}})] * 4,
    *[("classify", {"inputs": ["a good film"] * 1024})] * 4,
]
ANSWERS = {200, 413, 422, 429, 504}


def started(shape, models, folder: Path):
    settings = {"request_timeout_s": 60}
    if shape == SHAPES[0]:
        return command(models, folder / "log", "--request-timeout-s", "60", "--idle-threads", "1")
    return serve_several(models, folder, idle_threads=1, **settings)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_worst_requests_at_once_stay_within_the_bound(shape, shipped_models, tmp_path, pool):
    def send(task, body):
        headers = {"X-Request-Timeout-Ms": "8000"}
        return httpx.post(f"{service.url}/{task}", json=body, headers=headers, timeout=90).status_code

    with started(shape, shipped_models, tmp_path) as service:
        processes = [service.process.pid, *children_of(service.process.pid)]
        for process in processes:
            Path(f"/proc/{process}/clear_refs").write_text("5")
        before = sum(memory_of(process, "VmRSS") for process in processes)
        statuses = list(pool.map(lambda request: send(*request), WORST))
        added = sum(memory_of(process, "VmHWM") for process in processes) - before
    assert set(statuses) <= ANSWERS, statuses
    assert 200 in statuses
    assert added < MOST_ADDED, f"{added / 1e6:.0f} MB"
