"""From files to answers over HTTP: one command without a recipe trains, publishes and reports, and it is served."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import RobertaForMaskedLM

from tests.support.learnable import QUICK, write_data
from tests.support.server import serve
from tests.support.tiny import save_checkpoint, tiny_config
from training.__main__ import main

SETTINGS = [f"training.{key}={value}" for key, value in (QUICK | {"epochs": 12}).items()]
SETTINGS += ["export.max_length=64", "evaluation.bootstrap_samples=20", "export.max_metric_drop=5"]
PATIENT = ["training.epochs=30", "training.learning_rate=3e-3", "training.early_stopping_patience=30"]
KINDS = {
    "single": ("classification", "jsonl", []),
    "multi": ("classification", "jsonl", PATIENT),
    "number": ("classification", "jsonl", PATIENT),
    "pair": ("classification", "jsonl", ["data.text_pair_column=other"]),
    "ner": ("ner", "conll", []),
}


@pytest.fixture(scope="module")
def trained(tokenizer, tmp_path_factory):
    """Train a model of each kind, by the command, into one models folder; return the folder it all lies in."""
    folder = tmp_path_factory.mktemp("trained")
    data = tmp_path_factory.mktemp("data")
    write_data(data)
    torch.manual_seed(0)
    base = save_checkpoint(RobertaForMaskedLM(tiny_config(len(tokenizer))), folder / "base")
    for kind, (task, suffix, more) in KINDS.items():
        splits = ("train", "test") if kind == "single" else ("train", "validation", "test")  # one sets some aside
        files = [part for split in splits for part in (f"--{split}", f"{kind}-{split}.{suffix}")]
        where = ["--data", str(data), "--models", str(folder / "models"), "--run-dir", str(folder / "runs" / kind)]
        settings = [part for setting in [*SETTINGS, *more] for part in ("--set", setting)]
        default = ["--set-default"] if kind == "multi" else []
        main(["finetune", "--task", task, "--name", kind, "--base", str(base), *files, *where, *settings, *default])
    return folder


@pytest.fixture(scope="module")
def service(trained):
    with serve(trained / "models") as running:
        yield running


def ask(service, name, inputs, **parameters):
    answer = service.client.post(f"/models/{name}", json={"inputs": inputs, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_one_label_of_several(service):
    (entries,) = ask(service, "single", "lovely warm lovely")
    assert entries[0]["label"] == "p"
    assert sum(entry["score"] for entry in entries) == pytest.approx(1)


def test_any_number_of_labels_by_their_thresholds(service, trained):
    answers = ask(service, "multi", ["film film film", "good good", "the the the"])
    assert [sorted(entry["label"] for entry in entries) for entries in answers] == [["blame", "praise"], ["praise"], []]
    (everything,) = ask(service, "multi", "the the the", threshold=0.0)
    assert {entry["label"] for entry in everything} == {"blame", "praise"}
    assert everything == ask(service, "multi", "the the the", function_to_apply="sigmoid")[0]
    thresholds = service.client.get("/models/multi").json()["thresholds"]
    assert thresholds.keys() == {"blame", "praise"}


def test_the_default_that_training_set_answers_the_route(service):
    answer = service.client.post("/classify", json={"inputs": "good"})
    assert answer.headers["X-Model"] == "multi:1"


def test_a_number(service):
    ((low,), (high,)) = ask(service, "number", ["bad bad bad bad", "good good good good"])
    assert low["label"] == "label"
    assert high["score"] - low["score"] > 1


def test_a_pair(service):
    pairs = [
        {"text": "the good film", "text_pair": "a good film"},
        {"text": "the good film", "text_pair": "a bad film"},
    ]
    same, different = ask(service, "pair", pairs)
    assert {entry["label"] for entry in same} == {"same", "different"}
    assert same != different


def test_entities(service):
    found = ask(service, "ner", "Ada met Bob Byron (in Rome).")
    assert {(e["entity_group"], e["word"]) for e in found} == {("PER", "Ada"), ("PER", "Bob Byron"), ("LOC", "Rome")}


@pytest.mark.parametrize("kind", KINDS)
def test_every_run_leaves_a_report(kind, trained):
    report = trained / "runs" / kind / "report"
    metrics = json.loads((report / "metrics.json").read_text())
    assert set(metrics["variants"]) == {"int8", "checkpoint fp32"}
    rows = [json.loads(line) for line in (report / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * 24
    page = (report / "report.html").read_text()
    assert page.count("<svg") >= 1
    assert str(trained) not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_says_where_it_comes_from(kind, trained):
    manifest = json.loads((trained / "models" / kind / "1" / "manifest.json").read_text())
    provenance = manifest["provenance"]
    assert provenance["data_sha256"].keys() == {"train", "validation", "test"}
    assert provenance["training"]["seed"] == 42
    assert {"torch", "onnxruntime", "python"} <= provenance["versions"].keys()
    assert manifest["graphs"]["int8"]["quantisation"]["drop_after"] <= 5
    card = (trained / "models" / kind / "1" / "README.md").read_text()
    assert card.startswith("---\n")


def test_a_published_bundle_is_evaluated_by_name(trained, tmp_path, capsys):
    data = tmp_path / "new.jsonl"
    data.write_text('{"text": "lovely great", "label": "p"}\n{"text": "awful", "label": "n"}\n')
    main(["evaluate", str(trained / "models" / "single" / "1"), "--test", str(data), "--out", str(tmp_path / "out")])
    assert str(tmp_path / "out" / "report.html") in capsys.readouterr().out.replace("\n", "")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["variants"]["int8"]["examples"] == 2
