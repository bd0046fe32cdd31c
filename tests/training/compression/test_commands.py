"""`roberta-train distil` and `prune`, from labeled text to a served student."""

from __future__ import annotations

import json

import pytest

from app.bundle import read_bundle
from tests.support.students import LABELS, TEXTS
from training.__main__ import main


@pytest.fixture(scope="module")
def sentiment(tmp_path_factory):
    """Return a folder with labeled files that the tiny teacher's labels fit, single- and multi-label."""
    folder = tmp_path_factory.mktemp("data")
    lines = [{"text": f"{text} {i}", "label": LABELS[i % 3]} for i, text in enumerate(TEXTS * 3)]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    lines = [{"text": line["text"], "labels": LABELS[: i % 3 + 1]} for i, line in enumerate(lines)]
    (folder / "several.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("verb", "keep", "data", "metric"),
    [("distil", "spaced", "train", "accuracy"), ("prune", "important", "several", "macro_f1")],
)
def test_one_command_makes_a_served_student_and_a_table_of_variants(
    verb, keep, data, metric, sentiment, tiny_checkpoints, tmp_path, capsys
):
    sizes = ["--layers", "1", "--feed-forward", "24"]
    fields = ("training.epochs=1", "export.max_length=64", "export.max_metric_drop=50")
    settings = [argument for field in fields for argument in ("--set", field)]
    where = ["--data", str(sentiment), "--models", str(tmp_path / "models"), "--run-dir", str(tmp_path / "run")]
    teacher = str(tiny_checkpoints["classify"])
    main(
        [verb, "--task", "classification", "--train", f"{data}.jsonl", "--teacher", teacher, *sizes, *settings, *where]
    )

    folder = tmp_path / "models" / data / "1"
    assert str(folder) in capsys.readouterr().out
    manifest = read_bundle(folder, name=data, version=1).manifest
    assert manifest.labels == list(LABELS)
    recipe = manifest.provenance["training"]["distillation"]
    assert (recipe["keep"], recipe["layers"], recipe["feed_forward"]) == (keep, 1, 24)
    decision = manifest.graphs["int8"].quantisation
    assert (decision["metric"], decision["max_drop"], decision["kept_fp32"]) == (metric, 50.0, [])

    rows = json.loads((tmp_path / "run" / "variants.json").read_text(encoding="utf-8"))
    assert [row["variant"] for row in rows] == ["teacher fp32", "student fp32", "student int8"]
    sizes_mb = [row["size_mb"] for row in rows]
    assert sizes_mb == sorted(sizes_mb, reverse=True)
    assert rows[0]["parameters"] > rows[1]["parameters"] == rows[2]["parameters"]
    assert all(row["texts_per_second"] > 0 and row["tokens_per_second"] > row["texts_per_second"] for row in rows)
    assert [row["metric"] for row in rows] == [metric] * 3
    assert rows[2]["score"] == pytest.approx(manifest.graphs["int8"].metrics[metric])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give the teacher with --teacher"),
        (["--layers", "1"], "distillation.teacher: field required"),
        (["--teacher", "nowhere", "--weight", "2"], "distillation.weight: input should be less than or equal to 1"),
        (["--teacher", "nowhere"], "the teacher nowhere cannot be used"),
        (["--teacher", "nowhere", "--task", "fill-mask"], "a student needs labels to learn from"),
    ],
    ids=str,
)
def test_a_student_that_cannot_be_made_is_one_sentence(arguments, sentence, sentiment, tmp_path):
    where = ["--data", str(sentiment), "--models", str(tmp_path / "models"), "--run-dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match=f"roberta-train: .*{sentence}"):
        main(["distil", "--task", "classification", "--train", "train.jsonl", *where, *arguments])
    assert not (tmp_path / "models").exists()
