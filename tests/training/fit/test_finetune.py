"""Fine-tuning for real, on a tiny model and data that it can learn: every task, from recipe to checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
)

import training.fit.caching
import training.fit.finetune
import training.fit.trainer
from tests.support.learnable import recipe_of
from training.config import Recipe, RecipeError
from training.data import ClassificationExample, DataError, Labeling, NerExample
from training.evaluation.calibration import fit_thresholds
from training.evaluation.classification import evaluate_classification, label_matrix
from training.evaluation.ner import evaluate_ner
from training.evaluation.predict import torch_classifier, torch_tagger
from training.fit.finetune import finetune
from training.tasks import task_of_config


def with_training(recipe, **changes):
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def scores_of(result, thresholds=None):
    """Return the test scores of the saved checkpoint and its config."""
    model, predict = loaded(result)
    labeling = labeling_of(result)
    return evaluate_classification(
        result.test, labeling.labels, predict, labeling.problem_type, thresholds
    ), model.config


def labeling_of(result):
    """Return what the saved config says of the outputs."""
    config = json.loads((Path(result.source) / "config.json").read_text())
    return task_of_config(config).labeling_of(config)


def history_of(result):
    return json.loads((Path(result.source).parent / "history.json").read_text())["log"]


def loaded(result):
    model = AutoModelForSequenceClassification.from_pretrained(result.source)
    return model, torch_classifier(model, AutoTokenizer.from_pretrained(result.source), 32)


def test_single_label_classification_learns_and_saves_a_usable_folder(tiny_base, data_dir, tmp_path):
    result = finetune(recipe_of("single", tiny_base), data_dir, tmp_path / "run")
    assert labeling_of(result) == Labeling(("n", "p"), "single_label_classification")
    assert len(result.texts) == 64
    assert all(isinstance(example, ClassificationExample) for example in result.validation)
    assert len(result.test) == 24
    scores, config = scores_of(result)
    assert scores["accuracy"] >= 0.95
    assert config.id2label == {0: "n", 1: "p"}
    assert config.problem_type == "single_label_classification"
    assert load_file(Path(result.source) / "model.safetensors")["classifier.dense.weight"].dtype == torch.float32
    assert AutoTokenizer.from_pretrained(result.source).model_max_length == 512
    assert not (tmp_path / "run" / "trainer").exists()
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["seconds"] == result.training_seconds > 0
    assert history["examples_per_second"] > 0
    assert history["peak_memory_mb"] > 100
    assert any("eval_accuracy" in entry for entry in history["log"])


def test_multi_label_classification_learns(tiny_base, data_dir, tmp_path):
    settings = {"epochs": 20, "learning_rate": 3e-3, "early_stopping_patience": None}
    result = finetune(recipe_of("multi", tiny_base, **settings), data_dir, tmp_path / "run")
    assert labeling_of(result).problem_type == "multi_label_classification"
    logits = loaded(result)[1]([example.model_input for example in result.validation])
    thresholds = fit_thresholds(np.stack(logits), label_matrix(result.validation, labeling_of(result).labels))
    scores, config = scores_of(result, thresholds)  # as training chose the epoch
    assert scores["macro_f1"] >= 0.95
    assert config.problem_type == "multi_label_classification"
    assert config.id2label == {0: "blame", 1: "praise"}


def test_regression_learns(tiny_base, data_dir, tmp_path):
    recipe = recipe_of("number", tiny_base, epochs=12, metric="rmse", early_stopping_patience=None)
    result = finetune(recipe, data_dir, tmp_path / "run")
    assert labeling_of(result).problem_type == "regression"
    scores, config = scores_of(result)
    assert scores["pearson"] >= 0.9
    assert scores["rmse"] < 0.4  # the targets' own standard deviation is about 0.7
    assert (config.num_labels, config.problem_type) == (1, "regression")


def test_regression_chooses_the_least_error_where_the_recipe_names_one(tiny_base, data_dir, tmp_path, monkeypatch):
    scores = iter([{"rmse": value} for value in (9.0, 0.7, 0.3, 0.9, 0.8)])
    monkeypatch.setattr(training.fit.finetune, "validate", lambda *args: next(scores))
    recipe = recipe_of("number", tiny_base, epochs=4, metric="rmse", early_stopping_patience=2)
    finetune(recipe, data_dir, tmp_path)
    history = json.loads((tmp_path / "history.json").read_text())["log"]
    assert [entry["eval_rmse"] for entry in history if "eval_rmse" in entry] == [0.7, 0.3, 0.9, 0.8]


def test_pairs_of_texts_reach_the_model(tiny_base, data_dir, tmp_path):
    columns = {"text_pair_column": "other"}
    result = finetune(recipe_of("pair", tiny_base, columns, epochs=1), data_dir, tmp_path / "run")
    assert labeling_of(result).labels == ("different", "same")
    assert isinstance(result.test[0].model_input, tuple)
    model = AutoModelForSequenceClassification.from_pretrained(result.source)
    predict = torch_classifier(model, AutoTokenizer.from_pretrained(result.source), 32)
    alone, together = predict(["the good film", ("the good film", "a bad film")])
    assert not np.allclose(alone, together)


def test_ner_learns_on_raw_text(tiny_base, data_dir, tmp_path):
    result = finetune(recipe_of("ner", tiny_base), data_dir, tmp_path / "run")
    assert labeling_of(result) == Labeling(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), None)
    assert all(isinstance(example, NerExample) and "(in " in example.text for example in result.test)
    assert len({"(in " in text for text in result.texts}) == 2  # both ways of spacing
    model = AutoModelForTokenClassification.from_pretrained(result.source)
    tokenizer = AutoTokenizer.from_pretrained(result.source)
    scores = evaluate_ner(result.test, labeling_of(result).labels, torch_tagger(model, tokenizer, 32))
    assert scores["f1"] >= 0.95


def test_fill_mask_is_sent_to_the_verbs_that_do_it(tiny_base, data_dir, tmp_path):
    data = {"train": "news.txt", "validation": "news.txt", "test_share": 0.0}
    recipe = Recipe.model_validate({"name": "tiny", "task": "fill-mask", "base": str(tiny_base), "data": data})
    with pytest.raises(RecipeError, match="`roberta-train pretrain`"):
        finetune(recipe, data_dir, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["single", "ner"])
def test_a_student_is_taught_by_its_teacher(kind, tiny_base, data_dir, tmp_path):
    taught = finetune(recipe_of(kind, tiny_base), data_dir, tmp_path / "teacher")
    distillation = {"teacher": taught.source, "layers": 1, "feed_forward": 32, "weight": 0.9}
    fields = recipe_of(kind, tiny_base).model_dump() | {"distillation": distillation}
    result = finetune(Recipe.model_validate(fields), data_dir, tmp_path / "student")
    auto_model = AutoModelForTokenClassification if kind == "ner" else AutoModelForSequenceClassification
    model = auto_model.from_pretrained(result.source)
    assert (model.config.num_hidden_layers, model.config.intermediate_size) == (1, 32)
    metric = "eval_f1" if kind == "ner" else "eval_accuracy"
    assert max(entry.get(metric, 0) for entry in history_of(result)) >= 0.9


def test_the_teacher_counts_as_the_recipe_says(tiny_base, data_dir, tmp_path):
    taught = finetune(recipe_of("single", tiny_base), data_dir, tmp_path / "teacher")
    losses = []
    for weight in (0.0, 1.0):
        distillation = {"teacher": taught.source, "layers": 1, "weight": weight}
        fields = recipe_of("single", tiny_base, epochs=1).model_dump() | {"distillation": distillation}
        result = finetune(Recipe.model_validate(fields), data_dir, tmp_path / str(weight))
        losses.append(next(entry["loss"] for entry in history_of(result) if "loss" in entry))
    assert abs(losses[0] - losses[1]) > 1e-3


def test_dropout_and_attention_are_what_the_recipe_says(tiny_base, data_dir, tmp_path):
    settings = {"epochs": 0.25, "dropout": 0.3, "attention_dropout": 0.0}
    result = finetune(recipe_of("single", tiny_base, **settings), data_dir, tmp_path)
    config = AutoModelForSequenceClassification.from_pretrained(result.source).config
    assert (config.hidden_dropout_prob, config.classifier_dropout, config.attention_probs_dropout_prob) == (0.3, 0.3, 0)


def test_max_samples_bounds_every_split(tiny_base, data_dir, tmp_path):
    result = finetune(recipe_of("single", tiny_base, epochs=1, max_samples=16), data_dir, tmp_path)
    assert [len(part) for part in (result.texts, result.validation, result.test)] == [16, 16, 16]


def test_a_second_run_reads_the_cached_features(tiny_base, data_dir, tmp_path, monkeypatch):
    recipe = recipe_of("single", tiny_base, epochs=0.25)
    first = finetune(recipe, data_dir, tmp_path / "first")
    [stored] = (tmp_path / ".cache" / "features").iterdir()
    monkeypatch.setattr(training.fit.caching, "store", lambda *args: pytest.fail("tokenized again"))
    second = finetune(recipe, data_dir, tmp_path / "second")
    ours, theirs = (load_file(Path(each.source) / "model.safetensors") for each in (first, second))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    monkeypatch.undo()
    finetune(with_training(recipe, max_length=16), data_dir, tmp_path / "shorter")
    finetune(with_training(recipe, max_samples=32), data_dir, tmp_path / "fewer")
    assert len(list(stored.parent.iterdir())) == 3


def test_a_finished_run_is_not_repeated(tiny_base, data_dir, tmp_path, monkeypatch):
    recipe = recipe_of("single", tiny_base, epochs=1)
    first = finetune(recipe, data_dir, tmp_path)
    monkeypatch.setattr(training.fit.trainer.ScoredTrainer, "train", lambda *args, **kwargs: pytest.fail("trained"))
    second = finetune(recipe, data_dir, tmp_path)
    assert second == first


def test_a_folder_keeps_to_one_training(tiny_base, data_dir, tmp_path):
    recipe = recipe_of("single", tiny_base, epochs=0.25)
    finetune(recipe, data_dir, tmp_path)
    same = {"name": "renamed", "base": f"{recipe.base}/../{Path(recipe.base).name}"}
    finetune(recipe.model_copy(update=same), data_dir, tmp_path)
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        finetune(with_training(recipe, learning_rate=1.0), data_dir, tmp_path)


def test_early_stopping_keeps_the_best_epoch(tiny_base, data_dir, tmp_path, monkeypatch):
    scores = iter([{"accuracy": value} for value in (0.5, 0.9, 0.6, 0.7, 0.99)])
    monkeypatch.setattr(training.fit.finetune, "validate", lambda *args: next(scores))
    recipe = recipe_of("single", tiny_base, epochs=5, early_stopping_patience=2)
    result = finetune(recipe, data_dir, tmp_path)
    scored = [entry["eval_accuracy"] for entry in history_of(result) if "eval_accuracy" in entry]
    assert scored == [0.5, 0.9, 0.6, 0.7]


def test_an_unknown_metric_is_named_before_training(tiny_base, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(training.fit.trainer.ScoredTrainer, "train", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(RecipeError, match=r"training.metric: no metric 'acuracy'; there are accuracy, .*macro_f1"):
        finetune(recipe_of("single", tiny_base, metric="acuracy"), data_dir, tmp_path)


def test_a_missing_tracker_is_named(tiny_base, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("training.fit.trackers.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"names mlflow, which is not installed: pip install mlflow"):
        finetune(recipe_of("single", tiny_base, report_to=["mlflow"]), data_dir, tmp_path)


def test_class_weights_need_known_labels(tiny_base, data_dir, tmp_path):
    with pytest.raises(RecipeError, match=r"class_weights: no label 'P'; the nearest is '[np]'"):
        finetune(recipe_of("single", tiny_base, class_weights={"P": 2.0}), data_dir, tmp_path / "a")
    with pytest.raises(RecipeError, match="a regression has none"):
        finetune(recipe_of("number", tiny_base, class_weights="balanced"), data_dir, tmp_path / "b")


def test_a_split_that_is_needed_is_asked_for(tiny_base, data_dir, tmp_path):
    recipe = recipe_of("single", tiny_base)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"train": None})})
    with pytest.raises(RecipeError, match=r"data\.train"):
        finetune(recipe, data_dir, tmp_path)


def test_a_label_that_training_never_saw_is_named(tiny_base, data_dir, tmp_path):
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"text": "x", "label": "q"}\n')
    with pytest.raises(DataError, match=r"odd\.jsonl.*label 'q' does not occur in .*single-train\.jsonl"):
        finetune(recipe_of("single", tiny_base, {"test": str(odd)}), data_dir, tmp_path)


def test_a_base_that_cannot_be_loaded_is_named(tiny_base, data_dir, tmp_path):
    with pytest.raises(RecipeError, match=r"nothing cannot be loaded for text-classification: .*") as caught:
        finetune(recipe_of("single", tmp_path / "nothing"), data_dir, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_base_that_is_no_encoder_is_refused_before_training(tokenizer, data_dir, tmp_path):
    decoder = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=64))
    decoder.save_pretrained(tmp_path / "decoder")
    tokenizer.save_pretrained(tmp_path / "decoder")
    with pytest.raises(RecipeError, match=r"decoder cannot be loaded .*is not an encoder that can be used here"):
        finetune(recipe_of("single", tmp_path / "decoder"), data_dir, tmp_path / "run")


def test_texts_are_cut_at_the_bases_own_positions(tiny_base, tmp_path):
    long = json.dumps({"text": "good " * 200, "label": "p"}) + "\n" + json.dumps({"text": "bad", "label": "n"}) + "\n"
    (tmp_path / "long.jsonl").write_text(long * 4)
    files = dict.fromkeys(("train", "validation", "test"), "long.jsonl")
    result = finetune(recipe_of("single", tiny_base, files, epochs=1, max_length=256), tmp_path, tmp_path / "run")
    assert history_of(result)
