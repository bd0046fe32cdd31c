"""An answer does not depend on what else is in the batch."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import assert_alike
from tests.support.server import ThreadService, held, serve, until

COMPANY = 50
WORDS = [
    "Ada",
    "Byron",
    "met",
    "Bob",
    "in",
    "Paris",
    "a",
    "good",
    "or",
    "bad",
    "film",
    "warm",
    "cold",
    "🙂",
    "café",
    ".",
]
TASKS = ["classify", "ner", "fill-mask"]


@pytest.fixture(scope="module")
def tiny_fp32(tiny_models, tmp_path_factory) -> Iterator[ThreadService]:
    """Serve the tiny bundles' fp32 graphs."""
    models = tmp_path_factory.mktemp("fp32")
    shutil.copytree(tiny_models, models, dirs_exist_ok=True)
    for file in models.glob("*/*/manifest.json"):
        keep_fp32_only(file)
    with serve(models) as service:
        yield service


def keep_fp32_only(file: Path) -> None:
    manifest = json.loads(file.read_text())
    manifest["graphs"] = {"fp32": manifest["graphs"]["fp32"]}
    file.write_text(json.dumps(manifest))


def texts(task: str) -> list[str]:
    """Return texts of 2 to 60 words, no two alike, with a mask where the task wants one."""
    dice = random.Random(task)
    chosen = [dice.choices(WORDS, k=dice.randint(2, 60)) for _ in range(COMPANY + 1)]
    if task == "fill-mask":
        for words in chosen:
            words.insert(dice.randrange(len(words)), "<mask>")
    return [" ".join(words) for words in chosen]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("name", "precision"), [("tiny_here", "int8"), ("tiny_several", "int8"), ("tiny_fp32", "fp32"), ("shipped", "int8")]
)
def test_a_text_is_answered_alike_alone_and_in_company(name, precision, task, request, pool):
    service = request.getfixturevalue(name)
    model = next(m for m in service.client.get("/models").json()["models"] if m.get("route") == f"/{task}")
    assert model["precision"] == precision

    def ask(text: str) -> Any:
        parameters = {"ignore_labels": []} if task == "ner" else {}
        response = service.client.post(f"/{task}", json={"inputs": text, "parameters": parameters})
        assert response.status_code == 200, response.text
        return response.json()

    def batches() -> float:
        return service.metric("roberta_batch_sequences_count", model=model["name"])

    alone = [ask(text) for text in texts(task)]
    before = batches()
    with held(service, model["name"]) as gate:
        for _ in range(service.runners()):
            pool.submit(ask, "<mask>")
            gate.wait_for_batch()
        together = [pool.submit(ask, text) for text in texts(task)]
        until(lambda: service.metric("roberta_queue_requests") == len(together))
        gate.opened.set()
        for future, expected in zip(together, alone, strict=True):
            assert_alike(future.result(), expected, 1e-4)
    assert batches() - before < COMPANY
