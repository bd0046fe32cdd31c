"""Question answering: windows with their targets, the loss, and from SQuAD's JSON to a bundle that serves."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from app.tasks.question_answering import joined
from tests.support.squad import write_squad
from training.commands.arguments import check_models
from training.config import ExportConfig, Recipe, RecipeError
from training.data import Labeling
from training.data.questions import QuestionExample
from training.evaluable import bundle_evaluable, checkpoint_evaluable
from training.export.publication import Publication
from training.export.publish import publish
from training.fit.finetune import finetune
from training.tasks import training_task
from training.tasks.question_answering import span_loss

TASK = training_task("question-answering")
LONG = " ".join(["a good film ."] * 30) + " Ada lives in Paris . " + " ".join(["a bad film ."] * 30)
PARIS = QuestionExample("Where does Ada live ?", LONG, (("Paris", LONG.index("Paris")),))


def make_recipe(base, **training):
    quick = {"epochs": 5, "learning_rate": 5e-3, "batch_size": 8, "weight_decay": 0.0, "max_length": 32}
    data = {split: f"{split}.json" for split in ("train", "validation", "test")}
    fields = {"name": "reader", "task": "qa", "base": str(base), "data": data}
    return Recipe.model_validate(fields | {"training": quick | {"mixed_precision": "no"} | training})


# --- Features -------------------------------------------------------------------------------------------


def test_each_window_of_a_context_is_a_row_with_the_place_of_the_answer(tokenizer):
    rows = TASK.features([PARIS], Labeling(), tokenizer, 48)
    assert len(rows) > 5
    question = tokenizer(PARIS.question, add_special_tokens=False)["input_ids"]
    found = 0
    for row in rows:
        assert row["input_ids"][1 : 1 + len(question)] == question
        assert row["length"] == len(row["input_ids"]) <= 48
        first, last = row["labels"]
        text = tokenizer.decode(row["input_ids"][first : last + 1])
        found += text == " Paris"
        assert text == " Paris" or (first, last) == (0, 0)
    assert found >= 1
    for example in (PARIS, QuestionExample(PARIS.question, LONG, ())):
        total = sum(any(labels) for labels in TASK.features([example], Labeling(), tokenizer, 48)["labels"])
        assert bool(total) is bool(example.answers)


def test_what_a_window_cuts_in_two_is_no_answer_there(tokenizer):
    whole = QuestionExample("Where ?", LONG, ((LONG, 0),))
    assert {tuple(labels) for labels in TASK.features([whole], Labeling(), tokenizer, 48)["labels"]} == {(0, 0)}


def test_a_question_of_more_than_a_window_is_cut_to_half_of_one(tokenizer):
    rows = TASK.features([QuestionExample(LONG, "Ada lives in Paris .", (("Paris", 13),))], Labeling(), tokenizer, 48)
    assert max(rows["length"]) <= 48


def test_the_config_keeps_how_windows_were_cut_and_how_long_answers_are(tokenizer):
    long = QuestionExample("Where ?", "zqxj " * 20, (("zqxj zqxj zqxj zqxj zqxj zqxj", 0),))
    settings = TASK.config_of(TASK.features([long], Labeling(), tokenizer, 64), 64)["task_specific_params"][TASK.name]
    assert (settings["max_seq_len"], settings["doc_stride"]) == (64, 32)
    assert settings["max_answer_len"] > 15
    short = TASK.config_of(TASK.features([PARIS], Labeling(), tokenizer, 64), 64)["task_specific_params"][TASK.name]
    assert short["max_answer_len"] == 15


def test_the_loss_is_the_mean_of_both_ends_whatever_is_accumulated():
    torch.manual_seed(0)
    outputs = QuestionAnsweringModelOutput(start_logits=torch.randn(4, 9), end_logits=torch.randn(4, 9))
    batch = {"labels": torch.tensor([[1, 2], [0, 0], [3, 8], [5, 5]])}
    starts, ends = batch["labels"].unbind(dim=1)
    expected = (F.cross_entropy(outputs.start_logits, starts) + F.cross_entropy(outputs.end_logits, ends)) / 2
    assert span_loss(outputs, batch).item() == pytest.approx(expected.item())
    assert span_loss(outputs, batch, 16).item() == pytest.approx(expected.item() / 2)


def test_weights_of_classes_are_refused(tmp_path, tiny_base):
    with pytest.raises(RecipeError, match=r"training\.class_weights is not for question-answering"):
        TASK.loss(make_recipe(tiny_base, class_weights="balanced"), Labeling(), None)


# --- From data to a bundle --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tiny_base, tmp_path_factory):
    """Train on questions of which some have no answer, and publish."""
    folder = tmp_path_factory.mktemp("reader")
    write_squad(folder, {"train": 128, "validation": 32, "test": 32}, sentences=1, impossible=0.25)
    checkpoint = finetune(make_recipe(tiny_base), folder, folder / "run")
    export = ExportConfig(precisions=("int8", "fp32"), max_length=64, max_metric_drop=100)
    card = {"examples": [joined("Where does Ada live ?", "Ada lives in Oslo .")]}
    publication = Publication.model_validate({"name": "reader", "export": export, "card": card})
    (folder / "models").mkdir()
    check_models(folder / "models")
    return folder, publish(publication, checkpoint, folder / "models")


def test_a_bundle_has_scores_a_threshold_and_how_it_was_trained(trained):
    _, published = trained
    manifest = published.manifest
    assert manifest.task == "question-answering"
    assert manifest.layout == "packed"
    assert manifest.task_settings == {"max_seq_len": 32, "doc_stride": 16, "max_answer_len": 15}
    for graph in manifest.graphs.values():
        assert graph.thresholds.keys() == {"no_answer"}
        assert graph.metrics["has_answer_f1"] >= 0.8
        assert graph.metrics["token_f1"] >= 0.6
    assert len(manifest.probes) == 8
    assert all("\n" in probe.text for probe in manifest.probes)
    card = (published.folder / "README.md").read_text()
    assert "token_f1" in card
    assert "→ Oslo 0." in card


def test_a_checkpoint_and_its_graphs_are_evaluated_alike(trained, tmp_path):
    folder, published = trained
    from training.config import DataConfig, EvaluationConfig

    examples = TASK.read_examples(folder / "test.json", DataConfig(), Labeling(), None)
    config = EvaluationConfig(bootstrap_samples=0)
    (checkpoint,) = checkpoint_evaluable(str(folder / "run" / "checkpoint")).evaluate(examples, "test", config, 0)
    graphs = bundle_evaluable(published.folder).evaluate(examples, "test", config, 0)
    fp32 = next(each for each in graphs if each.variant == "fp32")
    assert fp32.metrics["has_answer_f1"] == pytest.approx(published.manifest.graphs["fp32"].metrics["has_answer_f1"])
    for one, other in zip(checkpoint.predictions, fp32.predictions, strict=True):
        assert one["margin"] == pytest.approx(other["margin"], abs=1e-3)
    assert json.dumps(checkpoint.mistakes)


def test_a_base_that_was_trained_for_other_labels_gets_a_head_of_two(tiny_checkpoints, tmp_path):
    from training.fit.bases import load_base

    model, _ = load_base(make_recipe(tiny_checkpoints["classify"]), Labeling())
    assert model.qa_outputs.out_features == 2


def test_windows_of_verification_read_every_token():
    assert np.array_equal(TASK.rows_to_verify(5), np.arange(5))
