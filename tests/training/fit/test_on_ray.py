"""One training by two processes of a Ray cluster of this machine: the weights are those of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.learnable import recipe_of
from training.commands.flags import finetune_parser
from training.config import RecipeError
from training.data import DataError
from training.fit.finetune import finetune
from training.fit.on_ray import failure, finetune_on_ray

ROOT = Path(__file__).parents[3]
CODE = """
import sys
from pathlib import Path
from training.config import Recipe
from training.fit.on_ray import finetune_on_ray
recipe, data, run = map(Path, sys.argv[1:])
finetune_on_ray(Recipe.model_validate_json(recipe.read_text()), data, run, "local", 2)
"""
LIMIT_S = 600  # on a machine that is busy with something else


def test_two_processes_of_a_cluster_end_with_the_weights_of_one(tiny_base, data_dir, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    settings = {"epochs": 1, "learning_rate": 1e-3, "dropout": 0.0, "attention_dropout": 0.0}
    alone = finetune(recipe_of("single", tiny_base, batch_size=16, **settings), data_dir, tmp_path / "one" / "run")
    file, run_dir = tmp_path / "recipe.json", tmp_path / "two" / "run"
    (tmp_path / "base").symlink_to(tiny_base)
    file.write_text(recipe_of("single", Path("base"), batch_size=8, **settings).model_dump_json())
    variables = {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "RAY_AUTH_MODE": "disabled",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", CODE, file, data_dir, "two/run"]  # what is relative is so to this folder
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_file(f / "model.safetensors") for f in (Path(alone.source), run_dir / "checkpoint"))
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, atol=1e-5, rtol=1e-5)


def test_what_is_wrong_with_the_data_is_said_before_a_cluster_is_asked(tiny_base, tmp_path):
    with pytest.raises(DataError):
        finetune_on_ray(recipe_of("single", tiny_base), tmp_path, tmp_path / "run", "local", 2)


def test_a_failure_is_one_sentence():
    said = failure(RuntimeError("Training failed:\nTraceback\n  File x\nOSError: no space left.\n"))
    assert said == "the training on the Ray cluster failed: OSError: no space left; the same command goes on"


@pytest.mark.parametrize(
    ("flags", "said"), [(["--workers", "2"], "add --ray"), (["--ray", "auto", "--workers", "0"], "1 or more")]
)
def test_workers_are_of_a_cluster(flags, said):
    with pytest.raises(RecipeError, match=said):
        finetune_parser().read(["--task", "classification", "--train", "train.csv", *flags])
