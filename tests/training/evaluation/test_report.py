"""The report: what its files hold, and that the page shows it whole, safely, and from nowhere else."""

import base64
import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tests.support.tiny import publish_tiny, save_checkpoint, tiny_model
from training.commands.verbs import VERBS
from training.config import EvaluationConfig, RecipeError
from training.data import ClassificationExample, DataError, Labeling, Sentence, render
from training.evaluation.fill_mask import fill_masks
from training.evaluation.page import without_paths
from training.evaluation.record import Trial
from training.evaluation.report import SCRIPT, write_report
from training.evaluation.scoring import Scoring
from training.tasks import TASKS

RNG = np.random.default_rng(0)
CONFIG = EvaluationConfig(bootstrap_samples=20, mistakes=3)
HISTORY = {"seconds": 61.0, "log": [{"loss": 0.5, "step": 10, "epoch": 0.5}, {"eval_accuracy": 0.7, "epoch": 1.0}]}


def evaluate(name, examples, predictions, labeling, scoring=Scoring(), variant="int8", split="test"):  # noqa: B008
    task = TASKS[name]
    trial = Trial(name, task.main_metric(labeling), variant, split, CONFIG)
    return task.evaluate(examples, predictions, labeling, scoring, trial)


def classified(labels, problem_type="single_label_classification", texts=40, **settings):
    """Evaluate random logits."""
    logits = RNG.normal(size=(texts, len(labels))).astype(np.float32)
    multi_label = problem_type == "multi_label_classification"
    examples = [
        ClassificationExample(f"text {index}", labels[: index % 3] if multi_label else (labels[index % len(labels)],))
        for index in range(texts)
    ]
    return evaluate("text-classification", examples, logits, Labeling(tuple(labels), problem_type), **settings)


def tagged(guess):
    """Evaluate one sentence with an entity at each end; one token a word."""
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    example = render(Sentence(("Ada", "met", "<Bob>", "in", "Rome"), ("B-PER", "O", "B-PER", "O", "B-LOC")), "spaced")
    logits = np.eye(5, dtype=np.float32)[[labels.index(tag) for tag in guess]] * 9
    answer = (np.array(example.word_offsets), logits)
    return evaluate("token-classification", [example], [answer], Labeling(labels))


def guessed(tokenizer):
    def predict(windows, positions):
        return [np.zeros((len(where), len(tokenizer)), np.float32) for where in positions]

    documents = ["a good and lovely film , warm and great ."] * 3
    return evaluate("fill-mask", documents, fill_masks(documents, tokenizer, predict), Labeling(), split="validation")


def regressed():
    examples = [ClassificationExample("x", (), "y", float(number)) for number in range(9)]
    logits = np.arange(9, dtype=np.float32)[:, None] + 0.5
    return evaluate("text-classification", examples, logits, Labeling(("score",), "regression"))


def page(folder, *evaluations, **parts):
    return write_report(folder, evaluations, **{"title": "tiny:1"} | parts).read_text(encoding="utf-8")


def test_files_hold_every_number_and_every_prediction(tmp_path):
    one, other = classified(("no", "yes"), scoring=Scoring(2.0)), classified(("no", "yes"), variant="fp32")
    page(tmp_path, one, other)
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["main_metric"] == "accuracy"
    assert metrics["variants"]["fp32"]["metrics"]["accuracy"]["value"] == other.metrics["accuracy"]
    low, high = metrics["variants"]["int8"]["metrics"]["mcc"]["interval_95"]
    assert low < one.metrics["mcc"] < high
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["variant"] for row in rows] == ["int8"] * 40 + ["fp32"] * 40
    assert {"text", "truth", "prediction", "scores", "loss", "correct"} <= rows[0].keys()
    assert sum(row["correct"] for row in rows[:40]) / 40 == pytest.approx(one.metrics["accuracy"])
    assert {"ece", "ece_before_temperature", "roc_auc", "average_precision"} <= one.metrics.keys()
    assert set(one.curves) == {"roc", "precision_recall", "reliability", "reliability_before_temperature"}


def test_mistakes_are_wrong_and_the_least_likely_first():
    evaluation = classified(tuple("abc"))
    losses = [row["loss"] for row in evaluation.mistakes]
    wrong = [row["loss"] for row in evaluation.predictions if row["truth"] != row["prediction"]]
    assert losses == sorted(wrong, reverse=True)[:3]


def test_confusion_and_labels_agree():
    evaluation = classified(tuple("abc"))
    assert evaluation.confusion.sum() == 40
    assert evaluation.confusion.trace() / 40 == pytest.approx(evaluation.metrics["accuracy"])
    assert [row[-1] for row in evaluation.tables["per_label"].rows] == evaluation.confusion.sum(axis=1).tolist()


def test_roc_curve_runs_from_corner_to_corner():
    curve = classified(("no", "yes")).curves["roc"]
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert (np.diff(curve.x) >= 0).all()
    assert (np.diff(curve.y) >= 0).all()


def test_thresholds_decide_and_are_shown(tmp_path):
    evaluation = classified(
        tuple("abc"), "multi_label_classification", scoring=Scoring(thresholds={"a": 0.0, "b": 1.1, "c": 0.5})
    )
    assert all("a" in row["prediction"] and "b" not in row["prediction"] for row in evaluation.predictions)
    assert [row[-1] for row in evaluation.tables["per_label"].rows] == [0.0, 1.1, 0.5]
    assert "threshold" in page(tmp_path, evaluation)


def test_entities_have_offsets_and_errors():
    [row] = tagged(("B-PER", "O", "B-LOC", "O", "O")).predictions
    assert row["truth"][1] == {"entity": "PER", "start": 8, "end": 13, "word": "<Bob>"}
    assert row["prediction"][1].items() >= {"entity": "LOC", "start": 8, "end": 13, "word": "<Bob>"}.items()
    assert row["prediction"][1]["score"] > 0.99
    assert row["errors"] == {"wrong type": 1, "missed": 1}


def evaluations(tokenizer):
    return {
        "binary": classified(("no", "yes"), scoring=Scoring(1.5)),
        "many": classified(tuple(f"label {index:03}" for index in range(150)), texts=300),
        "multi": classified(tuple("abcd"), "multi_label_classification"),
        "regression": regressed(),
        "ner": tagged(("B-PER", "O", "B-LOC", "O", "O")),
        "perfect": tagged(("B-PER", "O", "B-PER", "O", "B-LOC")),
        "fill-mask": guessed(tokenizer),
    }


def without_own_script(html):
    """Return a page without the script that it allows by its hash."""
    script = SCRIPT.read_text(encoding="utf-8").strip()
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    if f"script-src 'sha256-{allowed}'" not in html:
        return html
    return html.replace(f"<script>{script}</script>", "", 1)


@pytest.mark.parametrize("kind", ["binary", "many", "multi", "regression", "ner", "perfect", "fill-mask"])
def test_page_is_whole_and_loads_nothing(kind, tmp_path, tokenizer):
    evaluation = evaluations(tokenizer)[kind]
    html = page(tmp_path, evaluation, history=HISTORY, data={"train": "10 examples"}, recipe={"seed": 1}, command="x")
    assert not re.search(r"<script|<link|<iframe|@import|url\((?!#)|\bsrc=", without_own_script(html))
    assert all(target.startswith(("#", "data:")) for target in re.findall(r'href="([^"]*)"', html))
    for drawing in re.findall(r"<svg .*?</svg>", html, flags=re.DOTALL):
        ET.fromstring(drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # well-formed
    assert "Learning curves" in html
    assert ("worst mistakes" in html) == (kind != "perfect")
    for metric, value in evaluation.metrics.items():
        assert f"{value:.4f}" in html or f"{value:.2f}" in html, metric
    json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))


def test_confusion_of_many_labels_is_a_drawing_and_pairs(tmp_path, tokenizer):
    html = page(tmp_path, evaluations(tokenizer)["many"])
    assert "Most frequent confusions" in html
    assert 'class="confusion' not in html
    assert "data:image/png" in html


def test_texts_are_escaped(tmp_path):
    attack = "<script>alert(1)</script>"
    examples = [ClassificationExample(attack, (attack,)), ClassificationExample("b", ("b",))]
    logits = np.eye(2, dtype=np.float32)  # both wrong, for the labels are sorted the other way
    labeling = Labeling(("b", attack), "single_label_classification")
    evaluation = evaluate("text-classification", examples, logits, labeling, variant=attack, split=attack)
    parts = {"title": attack, "data": {attack: attack}, "recipe": {attack: attack}, "command": attack}
    html = page(tmp_path, evaluation, evaluation, **parts)
    assert "<script" not in without_own_script(html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_paths_of_the_machine_are_cut(tmp_path):
    secret = tmp_path / "someone" / "data.jsonl"
    html = page(
        tmp_path,
        classified(("no", "yes")),
        title=str(secret),
        data={"test": secret},
        recipe={"base": str(secret.parent), "data": {"train": f"~/{secret.name}"}},
        command=f"roberta-train evaluate {secret.parent} --test {secret} --set=data.train={secret}",
    )
    assert str(tmp_path) not in html + (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert "roberta-train evaluate someone --test data.jsonl --set=data.train=data.jsonl" in html
    assert without_paths("it's and/or org/model") == "it's and/or org/model"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    checkpoint = save_checkpoint(tiny_model("text-classification", ["bad", "good"]), folder / "checkpoint")
    return publish_tiny(checkpoint, folder / "models", "tiny")


@pytest.fixture
def labeled_file(tmp_path):
    path = tmp_path / "test.jsonl"
    rows = [{"text": f"a lovely film {index}", "label": ("bad", "good")[index % 2]} for index in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(*arguments):
    return VERBS["evaluate"].run([*map(str, arguments)])


def test_every_graph_of_a_bundle_is_scored(bundle, labeled_file, tmp_path, capsys):
    report = run(bundle, "--test", labeled_file, "--out", tmp_path / "out", "--set", "evaluation.bootstrap_samples=9")
    assert report == str(tmp_path / "out/report.html")
    metrics = json.loads((tmp_path / "out/metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["variants"]) == ["int8", "fp32"]
    assert metrics["variants"]["int8"]["examples"] == 6
    assert "Accuracy" in capsys.readouterr().out


def test_one_precision_can_be_chosen_of_a_bundle_wherever_it_lies(bundle, labeled_file, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "downloaded")
    run(folder, "--test", labeled_file, "--precision", "fp32", "--out", tmp_path / "out")
    assert list(json.loads((tmp_path / "out/metrics.json").read_text())["variants"]) == ["fp32"]


def test_checkpoint_scores_as_its_fp32_graph(bundle, labeled_file, tmp_path):
    checkpoint = bundle.parents[2] / "checkpoint"
    for model in (bundle, checkpoint):
        run(model, "--test", labeled_file, "--out", tmp_path / model.name)
    scores = {
        name: json.loads((tmp_path / folder / "metrics.json").read_text())["variants"][name]["metrics"]
        for folder, name in ((bundle.name, "fp32"), ("checkpoint", "checkpoint fp32"))
    }
    assert scores["fp32"]["roc_auc"] == scores["checkpoint fp32"]["roc_auc"]
    assert scores["fp32"]["ece"]["value"] == pytest.approx(scores["checkpoint fp32"]["ece"]["value"], abs=1e-4)


@pytest.mark.parametrize(
    ("task", "file", "content"),
    [
        ("token-classification", "test.conll", "Ada B-PER\nmet O\nBob B-PER\n\n"),
        ("fill-mask", "test.txt", "a good and lovely film\n"),
    ],
)
def test_other_tasks_are_scored_from_their_bundles(task, file, content, tmp_path):
    labels = ["O", "B-PER", "I-PER"] if task == "token-classification" else None
    checkpoint = save_checkpoint(tiny_model(task, labels), tmp_path / "checkpoint")
    published = publish_tiny(checkpoint, tmp_path / "models", "tiny", ("fp32",))
    (tmp_path / file).write_text(content, encoding="utf-8")
    values = []
    for model in (published, checkpoint):
        run(model, "--test", tmp_path / file, "--out", tmp_path / "out")
        [variant] = json.loads((tmp_path / "out/metrics.json").read_text())["variants"].values()
        values.append({name: metric["value"] for name, metric in variant["metrics"].items()})
    assert values[0] == pytest.approx(values[1], rel=1e-3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            '{"text": "a", "label": "bad"}\n{"text": "b", "label": "ugly"}\n',
            r"test.jsonl:2: .*'ugly'; it knows bad, good",
        ),
        ("", "holds no examples"),
    ],
)
def test_data_that_does_not_fit_is_one_sentence(bundle, tmp_path, rows, message):
    (tmp_path / "test.jsonl").write_text(rows, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        run(bundle, "--test", "test.jsonl", "--data", tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bundle_without_a_graph_for_a_cpu_is_refused_in_one_sentence(bundle, labeled_file, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "gpu")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["graphs"] = {"fp16": manifest["graphs"]["fp32"]}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RecipeError, match="has no graph that a CPU runs; evaluate the checkpoint"):
        run(folder, "--test", labeled_file)


def test_what_cannot_be_evaluated_is_one_sentence(bundle, labeled_file, tmp_path):
    checkpoint = bundle.parents[2] / "checkpoint"
    with pytest.raises(DataError, match="give labeled examples with --test FILE"):
        run(bundle)
    with pytest.raises(RecipeError, match="has no fp16 graph, only int8, fp32"):
        run(bundle, "--test", labeled_file, "--precision", "fp16")
    with pytest.raises(RecipeError, match="is a checkpoint, which has none"):
        run(checkpoint, "--test", labeled_file, "--precision", "fp32")
    with pytest.raises(RecipeError, match="there is no folder"):
        run(tmp_path / "absent", "--test", labeled_file)
