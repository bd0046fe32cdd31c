"""Embeddings from end to end: fine-tuned, exported packed and in int8, and checkpoints of sentence-transformers."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer, RobertaForMaskedLM, RobertaModel

from app.bundle import read_bundle
from tests.support.learnable import BAD, GOOD, QUICK
from tests.support.tiny import save_checkpoint
from training.__main__ import main
from training.config import Recipe, RecipeError
from training.data import Labeling
from training.encoders import UnsupportedModelError
from training.encoders.modules import read_modules, write_modules
from training.encoders.sentences import VECTOR
from training.evaluation.served import ServedGraph
from training.export.draft import load_model
from training.export.restore import base_folder, dense_behind
from training.export.tracing import trace
from training.fit.bases import load_base
from training.tasks import training_task

TEXTS = ["a good film", "Ada met Bob in Paris and in Rome, where the café isn't open", "(", " warm "]


def write_pairs(folder, rng, scored):
    """Write files whose similar texts praise, or blame, alike."""
    for split, size in (("train", 96), ("validation", 40), ("test", 40)):
        rows = []
        for _ in range(size):
            one, other = rng.choice([GOOD, BAD]), rng.choice([GOOD, BAD])
            first, second = (" ".join(rng.choices(words, k=4)) for words in (one, other if scored else one))
            unlike = " ".join(rng.choices(BAD if one is GOOD else GOOD, k=4))
            row = {"sentence1": first, "sentence2": second, "score": 5 if one is other else 0}
            rows.append(row if scored else {"anchor": first, "positive": second, "negative": unlike})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def arguments_for(folder, base, **training):
    settings = QUICK | {"epochs": 3} | training
    sets = [word for name, value in settings.items() for word in ("--set", f"training.{name}={value}")]
    files = [word for split in ("train", "validation", "test") for word in (f"--{split}", f"{split}.jsonl")]
    run = ["--run-dir", str(folder / "run"), "--models", str(folder / "models"), "--data", str(folder)]
    precisions = ["--set", 'export.precisions=["int8","fp32"]', "--set", "export.max_length=64"]
    common = ["finetune", "--task", "embedding", "--name", "near", "--base", str(base)]
    return [*common, *files, *run, *sets, *precisions, "--set", "evaluation.bootstrap_samples=20"]


def published(folder):
    return read_bundle(folder / "models" / "near" / "1", name="near", version=1)


@pytest.mark.parametrize(
    ("scored", "metric"), [(True, "spearman"), (False, "triplet_accuracy")], ids=("scored", "triplets")
)
def test_finetune_ends_with_a_bundle_that_answers_as_its_checkpoint(scored, metric, tiny_base, tmp_path, caplog):
    caplog.set_level("INFO")
    write_pairs(tmp_path, random.Random(1), scored)
    main(arguments_for(tmp_path, tiny_base))
    bundle = published(tmp_path)
    assert bundle.manifest.task_settings["pooling"] == bundle.manifest.task_settings["trained_pooling"] == "mean"
    assert bundle.manifest.task_settings["normalize"] is True
    for precision in ("int8", "fp32"):
        assert bundle.manifest.graphs[precision].metrics[metric] > 0.8, precision
    assert bundle.manifest.graphs["int8"].quantisation["metric"] == ("spearman" if scored else "mrr")
    assert ("read as of 0 to 5" in caplog.text) == scored
    checkpoint = tmp_path / "run" / "checkpoint"
    assert_equal_vectors(bundle, "fp32", expected(checkpoint, "mean", TEXTS), 1e-4)
    assert json.loads((checkpoint / "modules.json").read_text())[2]["type"].endswith("Normalize")
    assert (tmp_path / "run" / "report" / "report.html").is_file()


def expected(checkpoint, pooling, texts, dense=None):
    """Return normalized vectors by plain torch, one text at a time."""
    model, tokenizer = AutoModel.from_pretrained(checkpoint).eval(), AutoTokenizer.from_pretrained(checkpoint)
    found = []
    for text in texts:
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            pooled = {"mean": hidden.mean(0), "first": hidden[0], "max": hidden.amax(0)}[pooling]
            pooled = pooled if dense is None else torch.tanh(dense[0] @ pooled + dense[1])
        found.append((pooled / pooled.norm()).numpy())
    return np.stack(found)


def assert_equal_vectors(bundle, precision, right, tolerance, texts=TEXTS):
    answer = ServedGraph(bundle, precision).answer({"inputs": texts})
    np.testing.assert_allclose(np.array(answer), right, atol=tolerance)


def test_texts_alone_are_pairs_with_themselves(tiny_base, tmp_path):
    rng = random.Random(2)
    for split, size in (("train", 24), ("validation", 12), ("test", 12)):
        lines = [" ".join(rng.choices(GOOD + BAD, k=8)) for _ in range(size)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    main([*arguments_for(tmp_path, tiny_base, epochs=1, learning_rate=1e-4), "--set", 'export.precisions=["fp32"]'])
    assert 0 < published(tmp_path).manifest.graphs["fp32"].metrics["mrr"] <= 1


@pytest.fixture
def sentence_folder(tiny_config, tmp_path):
    """Return a folder of sentence-transformers around a masked language model, with a dense layer and a prompt."""
    torch.manual_seed(4)
    folder = save_checkpoint(RobertaForMaskedLM(tiny_config), tmp_path / "sentences")
    (folder / "1_Pooling").mkdir()
    (folder / "2_Dense").mkdir()
    dense = (torch.randn(6, tiny_config.hidden_size), torch.randn(6))
    save_file({"linear.weight": dense[0], "linear.bias": dense[1]}, folder / "2_Dense" / "model.safetensors")
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    files = {
        "modules.json": listed,
        "1_Pooling/config.json": {"pooling_mode_cls_token": False, "pooling_mode_max_tokens": True},
        "2_Dense/config.json": {"activation_function": "torch.nn.modules.activation.Tanh"},
        "sentence_bert_config.json": {"max_seq_length": 20, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "the "}, "default_prompt_name": "query"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder, dense


def test_a_folder_of_sentence_transformers_is_exported_with_all_that_is_behind_its_encoder(
    sentence_folder, tmp_path, monkeypatch
):
    folder, dense = sentence_folder
    main(["export", str(folder), "--name", "near", "--precision", "fp32", "--models", str(tmp_path / "models")])
    bundle = published(tmp_path)
    assert bundle.manifest.max_length == 20
    assert bundle.manifest.task_settings | {"lowercase": None} == {
        "dimensions": 6,
        "pooling": "max",
        "trained_pooling": "max",
        "normalize": True,
        "is_normalized": False,
        "prompts": {"query": "the "},
        "default_prompt": "query",
        "lowercase": None,
    }
    short = [text for text in TEXTS if len(text) < 20]
    assert_equal_vectors(bundle, "fp32", expected(folder, "max", ["the " + text for text in short], dense), 1e-4, short)

    monkeypatch.setattr("training.export.restore.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    again = read_modules(base_folder(str(bundle.path)))
    right = read_modules(str(folder))
    assert (again.pooling, again.normalizes, again.max_length) == ("max", True, 20)
    assert (again.prompts, again.default_prompt) == (right.prompts, right.default_prompt)
    assert str(again.dense) == str(right.dense)
    torch.testing.assert_close(again.dense[0].state_dict(), right.dense[0].state_dict())
    recipe = {"name": "x", "task": "embedding", "base": str(bundle.path)}
    model, tokenizer = load_base(Recipe.model_validate(recipe), Labeling())
    inputs = tokenizer(["the a good film"], return_tensors="pt")
    vector = model.eval()(**inputs)[VECTOR].detach()
    original, _ = load_model(str(folder))
    torch.testing.assert_close(vector, original(**inputs)[VECTOR].detach(), atol=1e-4, rtol=0)
    classifier, _ = load_base(
        Recipe.model_validate(recipe | {"task": "classification"}), Labeling(("a", "b"), "single_label_classification")
    )
    torch.testing.assert_close(
        classifier.base_model.embeddings.word_embeddings.weight.detach(), model.get_input_embeddings().weight.detach()
    )


def test_a_bundle_whose_graph_normalizes_itself_is_no_base(tiny_config):
    task = training_task("feature-extraction")
    settings = {"dimensions": 4, "is_normalized": True}
    with pytest.raises(UnsupportedModelError, match="its graph normalizes vectors itself; give the checkpoint"):
        task.rebuild(RobertaModel(tiny_config), SimpleNamespace(task_settings=settings, max_length=8), ())


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid, nn.Identity])
def test_the_activation_of_a_dense_layer_is_read_from_the_graph(activation):
    class Behind(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Module()
            self.head.pooling = nn.Module()
            self.head.pooling.inner = nn.Sequential(nn.Sequential(nn.Linear(3, 2), activation()))

        def forward(self, x):
            return self.head.pooling.inner(x)

    graph = trace(Behind(), {"x": torch.ones(1, 3)}, {"x": None}, ["x"], 20)
    assert str(dense_behind(graph)) == str([Behind().head.pooling.inner[0]])


def test_another_pooling_than_the_trained_one_is_a_warning(sentence_folder, caplog):
    folder, _ = sentence_folder
    load_model(str(folder), {"pooling": "first"})
    assert "was trained with the pooling max: with first its vectors are worse" in caplog.text


def test_a_setting_that_there_is_none_of_is_refused(sentence_folder, tiny_checkpoints):
    folder, _ = sentence_folder
    with pytest.raises(RecipeError, match=r"task_settings: .*pooling"):
        load_model(str(folder), {"pooling": "middle"})
    with pytest.raises(RecipeError, match="text-classification has none"):
        load_model(str(tiny_checkpoints["classify"]), {"pooling": "first"})


def test_token_vectors_are_rows_of_the_graph(tiny_config, tmp_path):
    torch.manual_seed(5)
    folder = save_checkpoint(RobertaModel(tiny_config), tmp_path / "plain")
    tokens = ["--set", "task_settings.pooling=tokens"]
    main(
        ["export", str(folder), "--name", "near", "--models", str(tmp_path / "models"), "--precision", "fp32", *tokens]
    )
    (answer,) = ServedGraph(published(tmp_path), "fp32").answer({"inputs": ["a good film"]})
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        right = model(**tokenizer("a good film", return_tensors="pt")).last_hidden_state[0].numpy()
    np.testing.assert_allclose(np.array(answer), right, atol=1e-4)


def test_what_was_trained_further_is_read_back_with_its_dense_layer(sentence_folder, tmp_path):
    folder, dense = sentence_folder
    recipe = Recipe.model_validate({"name": "x", "task": "embedding", "base": str(folder)})
    model, tokenizer = load_base(recipe, Labeling())
    model.save_pretrained(tmp_path / "again")
    tokenizer.save_pretrained(tmp_path / "again")
    write_modules(tmp_path / "again", read_modules(str(folder)), 32)
    found = read_modules(str(tmp_path / "again"))
    torch.testing.assert_close(found.dense[0][0].weight.data, dense[0])
    assert (found.pooling, found.normalizes, found.max_length, found.default_prompt) == ("max", True, 20, "query")


@pytest.mark.parametrize(
    ("pooling", "sentence"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "joins max, mean; one of mean, first"),
        ({}, "names no pooling that is known here"),
        ({"pooling_mode_mean_tokens": True, "include_prompt": False}, "leaves the tokens of the prompt out"),
    ],
    ids=("two", "none", "prompt"),
)
def test_a_pooling_that_is_not_done_here_is_refused(pooling, sentence, sentence_folder):
    folder, _ = sentence_folder
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(UnsupportedModelError, match=sentence):
        read_modules(str(folder))
