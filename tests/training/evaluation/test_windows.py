"""Long texts in windows: cut as the service cuts them, joined as it joins them, and learned from to their ends."""

import json
import random

import numpy as np
import pytest
import torch
from transformers import RobertaForSequenceClassification, RobertaForTokenClassification

from app.tasks.text import TextEncoder
from tests.support.learnable import QUICK
from training.config import Recipe
from training.data import ClassificationExample, Labeling, NerExample, Sentence, render
from training.evaluation.predict import torch_classifier, torch_tagger
from training.evaluation.windows import WindowCutter, classify_windows, tag_windows
from training.fit.finetune import finetune
from training.losses import IGNORED
from training.tasks import training_task

LONG = "the good film is bad and Ada met Bob in Paris , (warm) and café " * 4
LENGTH = 16


@pytest.fixture
def cutter(tokenizer):
    return WindowCutter(tokenizer, LENGTH)


def test_windows_are_those_of_the_service(cutter, tokenizer, tmp_path):
    tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    served = TextEncoder(tmp_path / "tokenizer.json", LENGTH)
    [text] = served.encode([LONG])
    [pair] = served.encode_pairs([("Ada", LONG)])
    rows = np.zeros(0, np.int64)
    expected = [[served.window(text.ids, piece, rows).input_ids.tolist() for piece in text.pieces]]
    expected += [[served.pair_window(pair, piece, rows).input_ids.tolist() for piece in pair.pieces]]
    found = cutter.windows([LONG, ("Ada", LONG)])
    assert [[each["input_ids"] for each in windows] for windows in found] == expected
    assert min(map(len, expected)) > 3
    [[both]] = cutter.windows([(LONG, LONG)])  # the service would refuse it
    assert len(both["input_ids"]) == LENGTH


def test_short_texts_are_predicted_as_without_windows(tiny_config, tokenizer):
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(tiny_config)
    inputs = ["a good film", ("Ada", "a film")]
    whole = torch_classifier(model, tokenizer, LENGTH)(inputs)
    np.testing.assert_allclose(classify_windows(model, tokenizer, inputs, LENGTH), whole, atol=1e-5)
    tagger = RobertaForTokenClassification(tiny_config)
    [(offsets, logits)] = tag_windows(tagger, tokenizer, ["Ada met Bob"], LENGTH)
    [(expected, scores)] = torch_tagger(tagger, tokenizer, LENGTH)(["Ada met Bob"])
    np.testing.assert_allclose(logits, scores, atol=1e-5)
    assert (offsets == expected).all()


def test_every_token_of_a_long_text_is_tagged_once(tiny_config, tokenizer):
    tagger = RobertaForTokenClassification(tiny_config)
    [(offsets, logits)] = tag_windows(tagger, tokenizer, [LONG], LENGTH)
    assert len(offsets) == len(logits) == len(tokenizer(LONG, add_special_tokens=False)["input_ids"])
    assert (np.diff(offsets[:, 0]) >= 0).all()


def test_each_window_has_the_label_of_its_text(tokenizer):
    task = training_task("text-classification")
    examples = [ClassificationExample(LONG, ("p",)), ClassificationExample("Ada", ("n",))]
    rows = task.window_features(examples, Labeling(("n", "p")), tokenizer, LENGTH)
    assert len(rows) > 4
    assert rows["labels"][-2:] == [1, 0]
    assert max(rows["length"]) == LENGTH


def test_entities_of_the_end_are_learned_from_too(tokenizer):
    words = ("the",) * 30 + ("Ada", "Byron", "ran")
    example = render(Sentence(words, ("O",) * 30 + ("B-PER", "I-PER", "O")), "spaced")
    assert isinstance(example, NerExample)
    task, labeling = training_task("token-classification"), Labeling(("O", "B-PER", "I-PER"))
    rows = task.window_features([example], labeling, tokenizer, LENGTH)
    assert [row[0] for row in rows["labels"]] == [IGNORED] * len(rows)
    assert {label for row in rows["labels"] for label in row} == {IGNORED, 0, 1, 2}
    cut = task.features([example], labeling, tokenizer, LENGTH)
    assert {label for row in cut["labels"] for label in row} == {IGNORED, 0}


@pytest.mark.parametrize("windows", [True, False])
def test_what_stands_at_the_end_is_learned_with_windows_alone(windows, tiny_base, tmp_path):
    rng = random.Random(0)
    texts = ["the film of the Paris café " * 3 + f"{rng.choice(['good', 'bad'])} " * 12 for _ in range(96)]
    rows = [{"text": text, "label": "p" if "good" in text else "n"} for text in texts]
    for split, part in (("train", rows[:64]), ("validation", rows[64:80]), ("test", rows[80:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    data = {split: f"{split}.jsonl" for split in ("train", "validation", "test")} | {"windows": windows}
    settings = QUICK | {"max_length": LENGTH, "epochs": 6}
    tree = {"name": "x", "task": "classification", "base": str(tiny_base), "data": data, "training": settings}
    finetune(Recipe.model_validate(tree), tmp_path, tmp_path / "run")
    log = json.loads((tmp_path / "run" / "history.json").read_text())["log"]
    best = max(entry["eval_accuracy"] for entry in log if "eval_accuracy" in entry)
    assert best >= 0.9 if windows else best < 0.9
