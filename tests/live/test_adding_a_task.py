"""docs/adding-a-task.md, word by word: three tasks are added, trained, exported, served and asked over HTTP."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import RobertaForMaskedLM

from tests.support.server import environment, until
from tests.support.tiny import CORPUS, save_checkpoint, tiny_config, tiny_tokenizer

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-task.md"
MODULE = re.compile(r"^`((?:app|training)/tasks/\w+\.py)`\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = {
    "epochs": 8,
    "learning_rate": 5e-3,
    "batch_size": 8,
    "weight_decay": 0.0,
    "max_length": 32,
    "early_stopping_patience": None,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a copy of the code to which the page's modules were added, and nothing else."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("app", "training"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    modules = MODULE.findall(PAGE.read_text(encoding="utf-8"))
    assert sorted(Path(name).parent.as_posix() for name, _ in modules) == [*["app/tasks"] * 3, *["training/tasks"] * 2]
    for name, code in modules:
        assert not (folder / name).exists()
        (folder / name).write_text(code, encoding="utf-8")
    save_checkpoint(RobertaForMaskedLM(tiny_config(len(tiny_tokenizer()))), folder / "base")
    return folder


def write_spans(folder):
    rng = random.Random(0)
    rows = []
    for _ in range(96):
        words = rng.choices(["the", "film", "and", "great", "Paris"], k=rng.randint(2, 6))
        words.insert(rng.randrange(len(words) + 1), "lovely")
        text = " ".join(words)
        rows.append({"text": text, "start": text.index("lovely"), "end": text.index("lovely") + len("lovely")})
    (folder / "spans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_labels(folder):
    rng = random.Random(0)
    words = {"good": ["good", "lovely", "warm", "great"], "bad": ["bad", "awful", "cold", "dull"]}
    labels = [rng.choice(["good", "bad"]) for _ in range(96)]
    rows = [{"text": " ".join(rng.choices(words[label], k=rng.randint(2, 7))), "label": label} for label in labels]
    (folder / "labeled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def train(project, task, name, file):
    settings = [f"--set=training.{key}={json.dumps(value)}" for key, value in QUICK.items() if value is not None]
    settings += [
        "--set=export.precisions=['int8', 'fp32']",
        "--set=export.max_length=64",
        "--set=export.max_metric_drop=100",
    ]
    line = [sys.executable, "-m", "training", "finetune", "--task", task, "--name", name, "--base", "base"]
    done = subprocess.run(
        [*line, "--train", file, *settings], cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads((project / "models" / name / "1" / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def manifests(project):
    write_spans(project)
    write_labels(project)
    return {
        "spans": train(project, "highlight", "spans", "spans.jsonl"),
        "prints": train(project, "fingerprint", "prints", "labeled.jsonl"),
    }


@pytest.fixture(scope="module")
def ask(project, manifests, tmp_path_factory):
    """Serve both models from the copy, and return a function that asks the service."""
    import httpx

    from tests.support.server import announced_url

    log_file = tmp_path_factory.mktemp("log") / "log"
    line = [sys.executable, "-m", "app", "--models", "models", "--host", "127.0.0.1", "--port", "0"]
    line += ["--default-route", "highlight"]
    with log_file.open("wb") as log, subprocess.Popen(line, stderr=log, cwd=project, env=environment()) as process:
        try:
            url = until(lambda: announced_url(process, log_file))
            with httpx.Client(base_url=url, timeout=60) as client:
                until(lambda: client.get("/health/ready").status_code == 200)
                yield lambda path, inputs: client.post(path, json={"inputs": inputs}).raise_for_status().json()
        finally:
            process.kill()


def test_the_bundles_prove_themselves_and_have_scores(manifests):
    for manifest, metric in ((manifests["spans"], "exact"), (manifests["prints"], "nearest")):
        assert manifest["layout"] == "packed"
        assert manifest["labels"] == []
        assert len(manifest["probes"]) == 8
        assert manifest["graphs"]["fp32"]["metrics"][metric] >= 0.9
        assert manifest["graphs"]["int8"]["metrics"][metric] >= 0.8


def test_a_span_task_answers_over_http_with_exact_offsets(ask):
    texts = ["the film and lovely Paris", "great lovely film"]
    answers = ask("/highlight", texts)
    assert [text[each["start"] : each["end"]] for text, each in zip(texts, answers, strict=True)] == ["lovely"] * 2
    assert answers == ask("/", texts)
    assert [each["word"] for each in ask("/models/spans", texts[:1])] == ["lovely"]


def test_a_pooled_vector_answers_over_http_the_same_by_itself_and_in_a_batch(ask):
    texts = ["good lovely", "great warm good " * 4, "awful", "cold dull bad", *CORPUS]
    together = np.array(ask("/fingerprint", texts))
    by_itself = np.array([ask("/fingerprint", text)[0] for text in texts])
    assert together.shape == (len(texts), 32)
    np.testing.assert_allclose(together, by_itself, atol=1e-4)
    unit = together / np.linalg.norm(together, axis=1, keepdims=True)
    likeness = unit @ unit.T
    assert likeness[0, 1] > likeness[0, 2]
    assert likeness[2, 3] > likeness[2, 0]


def test_a_secondary_task_is_asked_of_the_models_of_another(ask):
    texts = ["good lovely", "great warm good " * 4, "awful"]
    itself, like, unlike = ask("/likeness", texts)
    assert itself == pytest.approx(1.0, abs=1e-4)
    assert like > unlike
    vectors = np.array(ask("/fingerprint", texts))
    cosine = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
    assert like == pytest.approx(cosine, abs=1e-4)


def test_long_texts_are_answered_whole(ask):
    text = "the film and great Paris " * 30 + "lovely film"
    (found,) = ask("/highlight", text)
    assert text[found["start"] : found["end"]] == "lovely"
    assert len(ask("/fingerprint", text)[0]) == 32
