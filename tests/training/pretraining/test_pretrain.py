"""Pretraining for real, on a tiny model: its loss is exact, it learns, it resumes, it is published."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import MPNetConfig, RobertaForMaskedLM

from app.bundle import read_bundle
from tests.support.tiny import CORPUS, tiny_config
from training.__main__ import main
from training.config import PretrainRecipe, RecipeError
from training.data import DataError
from training.losses import IGNORED
from training.pretraining.blocks import pack_documents
from training.pretraining.masking import MaskingCollator
from training.pretraining.run import MaskedLanguageTrainer, masked_loss, pretrain, training_arguments

QUICK = {"steps": 6, "sequence_length": 32, "batch_size": 8, "learning_rate": 1e-3, "save_every": 2}


class Killed(Exception):  # noqa: N818  # not an error: what kill -9 is to this test
    """Stands for a process that dies."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "train.txt").write_text("\n".join(CORPUS * 60), encoding="utf-8")
    (folder / "validation.txt").write_text("\n".join(CORPUS * 2), encoding="utf-8")
    return folder


def recipe_of(base=None, architecture=None, **pretraining):
    data = {"train": ["train.txt"], "validation": "validation.txt"}
    fields = {"name": "tiny", "data": data, "pretraining": QUICK | {"evaluate_every": 3} | pretraining}
    start = {"architecture": architecture} if architecture else {"base": str(base)}
    return PretrainRecipe.model_validate(fields | start)


def test_a_base_that_cannot_be_pretrained_is_refused_with_what_it_is_and_what_can_be(corpus, tmp_path):
    MPNetConfig().save_pretrained(tmp_path / "base")
    with pytest.raises(RecipeError, match="its config is a MPNetConfig; pretraining takes bert, camembert"):
        pretrain(recipe_of(tmp_path / "base"), corpus, tmp_path / "run")


def test_projecting_masked_positions_alone_changes_no_loss_and_no_gradient(tokenizer, tmp_path):
    torch.manual_seed(0)
    config = tiny_config(len(tokenizer))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = RobertaForMaskedLM(config)
    rows = pack_documents(CORPUS * 20, tokenizer, 32)
    batch = MaskingCollator(tokenizer, 0.15)(rows.to_list()[:8])
    logits = model(batch["input_ids"]).logits
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=IGNORED)
    expected.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    args = training_arguments(recipe_of("x").pretraining, 0, tmp_path)
    trainer = MaskedLanguageTrainer(model=model, args=args, train_dataset=rows, score=dict, loss=masked_loss)
    loss = trainer.compute_loss(model, dict(batch))
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-6, rtol=1e-4)


def test_it_learns_and_a_finished_run_is_not_repeated(tiny_base, corpus, tmp_path, monkeypatch):
    result = pretrain(recipe_of(tiny_base, steps=60, evaluate_every=20), corpus, tmp_path / "run")
    log = json.loads((tmp_path / "run" / "history.json").read_text())["log"]
    losses = [entry["eval_masked_loss"] for entry in log if "eval_masked_loss" in entry]
    assert len(losses) == 3
    assert losses[-1] < losses[0] - 0.3
    monkeypatch.setattr(MaskedLanguageTrainer, "train", lambda *args, **kwargs: pytest.fail("trained"))
    assert pretrain(recipe_of(tiny_base, steps=60, evaluate_every=20), corpus, tmp_path / "run") == result


def test_a_killed_run_resumes_to_the_same_weights(tiny_base, corpus, tmp_path, monkeypatch):
    whole = Path(pretrain(recipe_of(tiny_base), corpus, tmp_path / "whole").source)
    step, steps = MaskedLanguageTrainer.training_step, itertools.count()

    def dying_step(*args, **kwargs):
        if next(steps) == 5:
            raise Killed
        return step(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MaskedLanguageTrainer, "training_step", dying_step)
        with pytest.raises(Killed):
            pretrain(recipe_of(tiny_base), corpus, tmp_path / "cut")
    resumed = Path(pretrain(recipe_of(tiny_base), corpus, tmp_path / "cut").source)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_from_nothing_to_a_served_bundle(corpus, tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "scratch"\n[architecture]\nlayers = 1\nhidden_size = 32\nattention_heads = 2\n'
        "intermediate_size = 48\npositions = 64\nvocabulary_size = 320\n"
        '[data]\ntrain = ["train.txt"]\nvalidation = "validation.txt"\n'
        "[pretraining]\nsteps = 4\nsequence_length = 32\nbatch_size = 4\nwhole_words = true\n"
        "[export]\nmax_length = 64\ncalibration_texts = 8\nmax_metric_drop = 100\n"
    )
    models, run_dir = tmp_path / "models", tmp_path / "run"
    options = ["--data", str(corpus), "--models", str(models), "--run-dir", str(run_dir), "--set-default"]
    main(["pretrain", str(recipe), *options])
    assert capsys.readouterr().out.strip() == str(models / "scratch" / "1")
    manifest = read_bundle(models / "scratch" / "1", name="scratch", version=1).manifest
    assert manifest.task == "fill-mask"
    assert "masked_accuracy" in manifest.graphs["int8"].metrics
    assert json.loads((models / "defaults.json").read_text()) == {"fill-mask": "scratch"}


def test_what_cannot_be_pretrained_is_one_sentence(tiny_base, corpus, tmp_path):
    with pytest.raises(RecipeError, match="nothing cannot be loaded"):
        pretrain(recipe_of(tmp_path / "nothing"), corpus, tmp_path / "a")
    one = recipe_of(tiny_base).data.model_copy(update={"max_documents": (1,)})
    with pytest.raises(DataError, match=r"train\.txt: the documents hold \d+ tokens, which do not fill"):
        pretrain(recipe_of(tiny_base).model_copy(update={"data": one}), corpus, tmp_path / "b")
    for starts in ({}, {"base": "x", "architecture": {}}):
        with pytest.raises(ValueError, match="give one of base, transplant and architecture"):
            PretrainRecipe.model_validate({"name": "x", "data": {"train": ["a"], "validation": "b"}} | starts)
