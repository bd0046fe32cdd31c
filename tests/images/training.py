"""What the image that trains must do: train in a mounted folder, and serve what it made."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.images.engine import TEMPORARY, Engine
from tests.support.tiny import save_checkpoint, tiny_model

FINETUNE = ("finetune", "--task", "classification", "--train", "rows.csv", "--base", "base", "--name", "tiny")
SHORT = ("--set", "training.epochs=1", "--set", "export.max_length=64", "--set", 'export.precisions=["int8","fp32"]')
ROWS = 60


@contextmanager
def folder_to_work_in() -> Iterator[Path]:
    """Give a folder with examples and a checkpoint that any user may write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_checkpoint(tiny_model("text-classification", ["a", "b"]), folder / "base")
        rows = [f"a {word} film {at},{label}" for at in range(ROWS) for word, label in [("good", "a"), ("bad", "b")]]
        (folder / "rows.csv").write_text("\n".join(["text,label", *rows]))
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)  # safetensors writes files that others may not read
        yield folder


def trains_and_serves_what_it_made(engine: Engine, image: str) -> None:
    with folder_to_work_in() as folder:
        options = (*TEMPORARY, f"--volume={folder}:/work", f"--user={os.getuid() or 12345}:54321")
        done = engine.run(image, *FINETUNE, *SHORT, options=options)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        served = (*options, "--entrypoint=roberta-serve", "--env=ROBERTA_HOST=0.0.0.0")
        with engine.started(image, "--models", "models", "--port", "8000", options=served, ports=[8000]) as container:
            container.wait_until_ready()
            response = httpx.post(f"{container.url(8000)}/classify", json={"inputs": "a good film"}, timeout=30)
            assert response.status_code == 200, response.text


def exports_what_a_name_has_only_weights_of(engine: Engine, image: str) -> None:
    with folder_to_work_in() as folder, engine.volume() as cache:
        options = (*TEMPORARY, f"--volume={folder / 'base'}:/named:ro", f"--volume={cache}:/cache")
        served = (*options, "--entrypoint=roberta-serve", "--env=ROBERTA_HOST=0.0.0.0")
        with engine.started(image, "--model", "/named", options=served, ports=[8000]) as container:
            container.wait_until_ready()
