"""What a training ends with: what to type next; and what a finished run, or one of another recipe, says."""

from __future__ import annotations

import logging

import pytest

from app.bundle.defaults import read_defaults
from training.__main__ import main

ROWS = [
    f"{word} {number} {'good' if label else 'bad'},{'pn'[label]}"
    for number in range(20)
    for word, label in (("film", 0), ("song", 1))
]
TEST = "text,label\nfilm 30 good,p\nsong 30 bad,n\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("text,label\n" + "\n".join(ROWS) + "\n", encoding="utf-8")
    (tmp_path / "test.csv").write_text(TEST, encoding="utf-8")
    return tmp_path


def finetune(base, *more):
    fast = ("training.epochs=1", "training.max_length=32", "evaluation.bootstrap_samples=9", "export.max_length=64")
    sets = [word for each in fast for word in ("--set", each)]
    main(
        [
            "finetune",
            "--task",
            "classification",
            "--train",
            "train.csv",
            "--test",
            "test.csv",
            "--base",
            str(base),
            "--name",
            "t",
            *sets,
            *more,
        ]
    )


def published(*_):
    raise RuntimeError("published")


def test_a_run_ends_with_what_to_type_next_and_is_published_once(tiny_checkpoints, folder, monkeypatch, capsys, caplog):
    base = tiny_checkpoints["fill-mask"]
    finetune(base)
    out, err = capsys.readouterr()
    assert out.strip().endswith("models/t/1")
    for said in (
        "roberta-serve --models models",
        "curl http://localhost:8000/models/t",
        "open runs/t/report/report.html",
    ):
        assert said in err

    with caplog.at_level(logging.INFO):
        finetune(base, "--set-default")
    out, err = capsys.readouterr()
    assert out.strip() == "models/t/1"
    assert "runs/t is finished, and published as models/t/1; --again publishes it once more" in caplog.messages
    assert "Next:" in err
    assert not (folder / "models" / "t" / "2").exists()
    assert read_defaults(folder / "models") == {"classify": "t"}

    with monkeypatch.context() as patch:
        patch.setattr("training.commands.finetune.publish_bundle", published)
        with pytest.raises(RuntimeError, match="published"):
            finetune(base, "--again")
        (folder / "test.csv").write_text(f"{TEST}film 31 bad,n\n", encoding="utf-8")  # which has no score yet
        with pytest.raises(RuntimeError, match="published"):
            finetune(base)

    with pytest.raises(SystemExit) as ended:
        finetune(base, "--set", "training.epochs=2", "--set", "seed=3")
    said = "runs/t holds a run of another recipe (seed was 42, is 3; training.epochs was 1, is 2); name another"
    assert said in str(ended.value.code)
