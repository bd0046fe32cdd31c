"""Fine-tuning for real, on a tiny model and separable data: it learns, it resumes, its loss is exact."""

import itertools
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    RobertaForSequenceClassification,
    TrainerCallback,
)

import training.trainer
from training.config import Recipe, RecipeError, TrainingConfig
from training.data import ClassificationExample, DataError, NerExample
from training.evaluate import evaluate_classification, evaluate_ner, torch_classifier, torch_tagger
from training.features import IGNORED, classification_features
from training.finetune import finetune, read_splits
from training.trainer import ScoredTrainer, exact_loss, training_arguments

PEOPLE, PLACES = ("Ada", "Bob", "Byron"), ("Paris", "Rome", "São")
QUICK = {"epochs": 6, "learning_rate": 5e-3, "batch_size": 8, "weight_decay": 0.0, "max_length": 32}


class Killed(Exception):  # noqa: N818  # not an error: what kill -9 is to this test
    """Stands for a process that dies."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Return a folder with separable sentiment (JSONL) and NER (CoNLL) splits."""
    folder = tmp_path_factory.mktemp("data")
    rng = random.Random(0)
    for split, size in (("train", 64), ("validation", 24), ("test", 24)):
        (folder / f"{split}.jsonl").write_text("".join(sentiment(rng) for _ in range(size)), encoding="utf-8")
        (folder / f"{split}.conll").write_text("".join(sentence(rng) for _ in range(size)), encoding="utf-8")
    (folder / "news.txt").write_text("a good film\nAda met Bob\n", encoding="utf-8")
    return folder


def sentiment(rng):
    label, words = rng.choice([("p", "good lovely warm great"), ("n", "bad awful cold dull")])
    text = " ".join(rng.choices(words.split(), k=rng.randint(1, 9)))
    return json.dumps({"text": text, "label": label}) + "\n"


def sentence(rng):
    name, place = rng.choice(PEOPLE), rng.choice(PLACES)
    return f"{name} B-PER\nmet O\nBob B-PER\nByron I-PER\n( O\nin O\n{place} B-LOC\n) O\n. O\n\n"


@pytest.fixture
def classify(tiny_base):
    data = {split: f"{split}.jsonl" for split in ("train", "validation", "test")}
    return Recipe(name="tiny", task="text-classification", base=str(tiny_base), data=data, training=QUICK)


@pytest.fixture
def tag(tiny_base):
    data = {split: f"{split}.conll" for split in ("train", "validation", "test")}
    return Recipe(name="tiny", task="token-classification", base=str(tiny_base), data=data, training=QUICK)


def with_training(recipe, **changes):
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def test_classification_learns_and_saves_a_usable_folder(classify, data_dir, tmp_path):
    result = finetune(classify, data_dir, tmp_path / "run")
    assert result.labels == ("n", "p")
    assert len(result.train_texts) == 64
    assert all(isinstance(example, ClassificationExample) for example in result.validation)
    assert len(result.test) == 24
    model = AutoModelForSequenceClassification.from_pretrained(result.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(result.checkpoint)
    assert model.dtype == torch.float32
    assert model.config.id2label == {0: "n", 1: "p"}
    assert model.config.problem_type == "single_label_classification"
    assert tokenizer.model_max_length == 512
    assert (result.checkpoint / "model.safetensors").is_file()
    scores = evaluate_classification(result.test, result.labels, torch_classifier(model, tokenizer, 32))
    assert scores["accuracy"] >= 0.95
    assert not (tmp_path / "run" / "trainer").exists()
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert any("eval_accuracy" in entry for entry in history["log"])
    assert history["seconds"] == result.seconds > 0


def test_ner_learns_on_raw_text(tag, data_dir, tmp_path):
    result = finetune(tag, data_dir, tmp_path / "run")
    assert result.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert all(isinstance(example, NerExample) and "(in " in example.text for example in result.test)
    assert len({"(in " in text for text in result.train_texts}) == 2  # both ways of spacing
    model = AutoModelForTokenClassification.from_pretrained(result.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(result.checkpoint)
    scores = evaluate_ner(result.test, result.labels, torch_tagger(model, tokenizer, 32))
    assert scores["f1"] >= 0.95


def test_fill_mask_is_written_out_untrained(tiny_base, data_dir, tmp_path):
    data = {"train": "news.txt", "validation": "news.txt"}
    recipe = Recipe(name="tiny", task="fill-mask", base=str(tiny_base), data=data)
    result = finetune(recipe, data_dir, tmp_path / "run")
    assert result.labels == ()
    assert result.train_texts == result.validation == ["a good film", "Ada met Bob"]
    assert result.test == []
    assert weights_of(result.checkpoint).keys() == weights_of(tiny_base).keys()
    assert same_weights(result.checkpoint, tiny_base)


def weights_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same_weights(left, right):
    mine, other = weights_of(left), weights_of(right)
    return all(torch.equal(tensor, other[name]) for name, tensor in mine.items())


def test_a_killed_run_resumes_to_the_same_result(classify, data_dir, tmp_path, monkeypatch):
    recipe = with_training(classify, epochs=3)
    whole = finetune(recipe, data_dir, tmp_path / "whole").checkpoint

    step = ScoredTrainer.training_step
    steps = itertools.count()

    def dying_step(*args, **kwargs):
        if next(steps) == 12:  # 8 steps an epoch: in the middle of the second
            raise Killed
        return step(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ScoredTrainer, "training_step", dying_step)
        with pytest.raises(Killed):
            finetune(recipe, data_dir, tmp_path / "cut")
    assert not (tmp_path / "cut" / "checkpoint").exists()
    [kept] = (tmp_path / "cut" / "trainer").glob("checkpoint-*")
    assert kept.name == "checkpoint-8"
    resumed = finetune(recipe, data_dir, tmp_path / "cut").checkpoint
    assert same_weights(whole, resumed)


def test_a_finished_run_is_not_repeated(classify, data_dir, tmp_path, monkeypatch):
    recipe = with_training(classify, epochs=1)
    first = finetune(recipe, data_dir, tmp_path)
    monkeypatch.setattr(training.trainer.ScoredTrainer, "train", lambda *args, **kwargs: pytest.fail("trained"))
    second = finetune(recipe, data_dir, tmp_path)
    assert second == first


def test_a_folder_keeps_to_one_training(classify, data_dir, tmp_path):
    recipe = with_training(classify, epochs=0.25)
    finetune(recipe, data_dir, tmp_path)
    same = {"name": "renamed", "base": f"{recipe.base}/../{Path(recipe.base).name}"}
    finetune(recipe.model_copy(update=same), data_dir, tmp_path)
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        finetune(with_training(recipe, learning_rate=1.0), data_dir, tmp_path)


def test_early_stopping_keeps_the_best_epoch(classify, data_dir, tmp_path, monkeypatch):
    scores = iter([{"accuracy": value} for value in (0.5, 0.9, 0.6, 0.7, 0.99)])
    monkeypatch.setattr("training.problems.evaluate_classification", lambda *args: next(scores))
    finetune(with_training(classify, epochs=5, early_stopping_patience=2), data_dir, tmp_path)
    history = json.loads((tmp_path / "history.json").read_text())
    scored = [entry["eval_accuracy"] for entry in history["log"] if "eval_accuracy" in entry]
    assert scored == [0.5, 0.9, 0.6, 0.7]


@pytest.mark.parametrize("missing", ["train", "validation"])
def test_a_split_that_is_needed_is_asked_for(classify, data_dir, tmp_path, missing):
    recipe = classify.model_copy(update={"data": classify.data.model_copy(update={missing: None})})
    with pytest.raises(RecipeError, match=f"data.{missing} names no file"):
        finetune(recipe, data_dir, tmp_path)


def test_a_label_that_training_never_saw_is_named(classify, data_dir, tmp_path):
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"text": "x", "label": "q"}\n')
    recipe = classify.model_copy(update={"data": classify.data.model_copy(update={"test": str(odd)})})
    with pytest.raises(DataError, match=r"odd\.jsonl: label 'q' does not occur in train\.jsonl"):
        read_splits(recipe, data_dir)


def test_a_base_that_cannot_be_loaded_is_named(classify, data_dir, tmp_path):
    recipe = classify.model_copy(update={"base": str(tmp_path / "nothing")})
    with pytest.raises(RecipeError, match=r"nothing cannot be loaded for text-classification: .*") as caught:
        finetune(recipe, data_dir, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_loss_is_the_mean_over_labels_that_count():
    logits = torch.randn(2, 3, 5)
    labels = torch.tensor([[0, 1, IGNORED], [4, IGNORED, IGNORED]])
    outputs = SimpleNamespace(logits=logits)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(exact_loss(outputs, labels), expected)
    torch.testing.assert_close(exact_loss(outputs, labels, torch.tensor(6)), expected / 2)
    smooth = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.2)
    torch.testing.assert_close(exact_loss(outputs, labels, label_smoothing=0.2), smooth)


def test_multi_label_loss_is_the_mean_over_all_labels():
    logits, labels = torch.randn(4, 3), torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(exact_loss(SimpleNamespace(logits=logits), labels), expected)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_accumulated_gradients_are_those_of_one_batch(accumulation, tiny_config, tokenizer, tmp_path):
    texts = [
        "a good film",
        "a bad and awful film , cold and dull",
        "Ada",
        "the café",
        "warm",
        "great",
        "dull",
        "cold",
    ]
    examples = [ClassificationExample(text, (label,)) for text, label in zip(texts, "npnpnnpn", strict=True)]
    rows = classification_features(examples, ("n", "p"), tokenizer, 32)
    collator = DataCollatorWithPadding(tokenizer)
    model = RobertaForSequenceClassification(without_dropout(tiny_config)).train()
    batch = collator(rows.remove_columns("length").to_list())
    labels = batch.pop("labels")
    torch.nn.functional.cross_entropy(model(**batch).logits, labels).backward()
    expected = gradients_of(model)
    model.zero_grad()

    seen = []

    class Catch(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
            seen.append(gradients_of(model))

    sizes = {"batch_size": 8 // accumulation, "gradient_accumulation": accumulation}
    settings = TrainingConfig(epochs=1, max_grad_norm=0, **sizes)
    ScoredTrainer(
        model=model,
        args=training_arguments(settings, 0, "accuracy", tmp_path),
        train_dataset=rows,
        data_collator=collator,
        compute_loss_func=exact_loss,
        score=lambda: {"accuracy": 0.0},
        callbacks=[Catch()],
    ).train()
    [actual] = seen
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-4)


def without_dropout(config):
    return type(config)(**config.to_dict() | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})


def gradients_of(model):
    return {name: tensor.grad.clone() for name, tensor in model.named_parameters() if tensor.grad is not None}
