"""One training on two processes of this machine, started as a user would: the weights are those of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.learnable import recipe_of
from training.fit.distributed import from_main, is_main_process, wait_for_everyone
from training.fit.finetune import finetune

ROOT = Path(__file__).parents[3]


def on_two_processes(recipe, data_dir, run_dir):
    """Fine-tune under torchrun and return what both processes said."""
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    file = run_dir.parent / "recipe.json"
    file.write_text(recipe.model_dump_json())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*torchrun, "-m", "tests.support.finetune_process", file, data_dir, run_dir]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("kind", ["single", "ner"])
def test_two_processes_end_with_the_weights_of_one(kind, tiny_base, data_dir, tmp_path):
    """Batches of similar length, NER's with unequal numbers of labels on the two, are the same global batches."""
    settings = {"epochs": 2, "learning_rate": 1e-3, "dropout": 0.0, "attention_dropout": 0.0}
    alone = finetune(recipe_of(kind, tiny_base, batch_size=16, **settings), data_dir, tmp_path / "one" / "run")
    recipe = recipe_of(kind, tiny_base, batch_size=8, **settings)
    status, said = on_two_processes(recipe, data_dir, tmp_path / "two" / "run")
    assert status == 0, said
    together = tmp_path / "two" / "run"
    ours, theirs = (load_file(f / "model.safetensors") for f in (Path(alone.source), together / "checkpoint"))
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, atol=1e-5, rtol=1e-5)
    history = json.loads((together / "history.json").read_text())["log"]
    own = json.loads((tmp_path / "one" / "run" / "history.json").read_text())["log"]
    losses = [[entry["loss"] for entry in log if "loss" in entry] for log in (own, history)]
    assert len(losses[0]) == 8
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    scored = [[each for each in log if any(key.startswith("eval_") for key in each)] for log in (own, history)]
    assert len(scored[1]) == len(scored[0]) == 2


def test_a_process_alone_is_the_main_one(monkeypatch):
    assert is_main_process()
    assert from_main("x") == "x"
    wait_for_everyone()
    monkeypatch.setenv("RANK", "1")
    assert not is_main_process()
