"""A run that is cut off goes on where it stopped, and ends with the same weights."""

import errno
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import (
    TrainerControl,
    TrainerState,
)

import training.fit.finetune
from tests.support.learnable import recipe_of
from training.fit.checkpoints import (
    WHOLE,
    SaveByTheClock,
    TrainingError,
    disk_space,
    finish_checkpoint,
    is_disk_full,
    last_whole_checkpoint,
)
from training.fit.finetune import finetune
from training.fit.trainer import ScoredTrainer

ROOT = Path(__file__).parents[3]


def same_weights(left, right):
    mine, other = (load_file(folder / "model.safetensors") for folder in (left, right))
    return mine.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in mine.items())


def run_in_process(recipe, data_dir, run_dir, *death):
    """Fine-tune in another process, which may be told when to kill itself; return its exit status."""
    file = run_dir.parent / "recipe.json"
    file.write_text(recipe.model_dump_json())
    command = [sys.executable, "-m", "tests.support.finetune_process", file, data_dir, run_dir, *death]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode


@pytest.fixture(scope="module")
def uninterrupted(tiny_base, data_dir, tmp_path_factory):
    """Return a recipe, three epochs of eight steps, and the checkpoint of its run from start to end."""
    recipe = recipe_of("single", tiny_base, epochs=3, early_stopping_patience=None)
    return recipe, Path(finetune(recipe, data_dir, tmp_path_factory.mktemp("whole") / "run").source)


@pytest.mark.parametrize(
    ("death", "kept"),
    [
        (("step", 14), {"checkpoint-8", "checkpoint-13"}),  # in the second epoch; the first was the best
        (("save", 14), {"checkpoint-8", "checkpoint-13", "checkpoint-14"}),  # the last is half-written
        (("mark", 14), {"checkpoint-8", "checkpoint-13", "checkpoint-14"}),  # the last is whole
    ],
    ids=["in a step", "while saving", "after saving"],
)
def test_a_run_that_is_killed_and_started_again_ends_with_the_same_weights(
    uninterrupted, data_dir, tmp_path, monkeypatch, death, kept
):
    recipe, whole = uninterrupted
    often = recipe.model_copy(update={"training": recipe.training.model_copy(update={"checkpoint_minutes": 1e-9})})
    run_dir = tmp_path / "run"
    assert run_in_process(often, data_dir, run_dir, *death) == -9
    assert not (run_dir / "checkpoint").exists()
    assert {path.name for path in (run_dir / "trainer").glob("checkpoint-*")} == kept
    steps = count_steps(monkeypatch)
    resumed = Path(finetune(often, data_dir, run_dir).source)
    assert same_weights(whole, resumed)
    assert len(steps) == 24 - (14 if death[0] == "mark" else 13)


def count_steps(monkeypatch):
    step, steps = ScoredTrainer.training_step, []

    def counted(*args, **kwargs):
        steps.append(1)
        return step(*args, **kwargs)

    monkeypatch.setattr(ScoredTrainer, "training_step", counted)
    return steps


def test_a_run_that_had_decided_to_stop_is_not_trained_further(tiny_base, data_dir, tmp_path, monkeypatch):
    values = (0.5, 0.9, 0.6, 0.7)
    recipe = recipe_of("single", tiny_base, epochs=6, early_stopping_patience=2)
    answers(monkeypatch, values)
    whole = finetune(recipe, data_dir, tmp_path / "whole")

    answers(monkeypatch, values)
    with monkeypatch.context() as patch:
        patch.setattr(ScoredTrainer, "_load_best_model", dies)  # after the last checkpoint, before the end
        with pytest.raises(Killed):
            finetune(recipe, data_dir, tmp_path / "cut")
    steps = count_steps(monkeypatch)
    resumed = finetune(recipe, data_dir, tmp_path / "cut")
    assert steps == []
    assert same_weights(Path(whole.source), Path(resumed.source))
    log = json.loads((tmp_path / "cut/history.json").read_text())["log"]
    scored = [entry["eval_accuracy"] for entry in log if "eval_accuracy" in entry]
    assert scored == list(values)


def answers(monkeypatch, values):
    scores = iter([{"accuracy": value} for value in values])
    monkeypatch.setattr(training.fit.finetune, "validate", lambda *args: next(scores))


class Killed(Exception):  # noqa: N818  # not an error: what kill -9 is to this test
    """Stands for a process that dies."""


def dies(*args, **kwargs):
    raise Killed


def test_only_a_whole_checkpoint_is_resumed_from(tmp_path):
    assert last_whole_checkpoint(tmp_path / "none") is None
    for step in (3, 20, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_whole_checkpoint(tmp_path) is None
    for step in (3, 20):
        (tmp_path / f"checkpoint-{step}" / WHOLE).touch()
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-20"
    finish_checkpoint(tmp_path / "checkpoint-100", keep={3})
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-3", "checkpoint-100"}


@pytest.mark.parametrize(
    ("epoch", "age", "stopping", "expected"),
    [(0.5, 60, False, True), (0.5, 59, False, False), (1.0, 60, False, False), (0.5, 60, True, False)],
)
def test_a_long_epoch_is_saved_by_the_clock(monkeypatch, epoch, age, stopping, expected):
    now = itertools.count(0, age)
    monkeypatch.setattr("training.fit.checkpoints.time.monotonic", lambda: next(now))
    clock, control = SaveByTheClock(minutes=1), TrainerControl(should_training_stop=stopping)
    clock.on_step_end(None, TrainerState(epoch=epoch), control)
    assert control.should_save == expected


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(uninterrupted, data_dir, tmp_path, monkeypatch):
    recipe, whole = uninterrupted
    save = torch.save
    saves = itertools.count()

    def full(*args, **kwargs):
        if next(saves) == 4:  # within the second checkpoint
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(TrainingError, match=r"the disk is full; free some space and run the same command again"):
            finetune(recipe, data_dir, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run" / "trainer").iterdir()} == {"checkpoint-8"}
    assert same_weights(whole, Path(finetune(recipe, data_dir, tmp_path / "run").source))


def test_other_errors_while_saving_stay_what_they_are(tmp_path):
    assert is_disk_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
    with pytest.raises(PermissionError), disk_space(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_the_ways_in_which_libraries_say_that_the_disk_is_full_are_known(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    for write in (lambda path: torch.save(torch.zeros(1 << 16), path), lambda path: path.write_text("x")):
        with pytest.raises((OSError, RuntimeError)) as caught:
            write(tmp_path / "full")
        assert is_disk_full(caught.value)
    message = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert is_disk_full(SafetensorError(message))
