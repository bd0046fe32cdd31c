"""`roberta-train export` from end to end, and the sentences it ends with when it cannot."""

from __future__ import annotations

import resource

import pytest

from app.bundle import read_bundle
from training.__main__ import main


def test_export_publishes_a_checkpoint_under_its_own_task(tiny_checkpoints, tmp_path, capsys):
    main(["export", str(tiny_checkpoints["ner"]), "--name", "people", "--models", str(tmp_path), "--max-length", "64"])

    assert capsys.readouterr().out.strip() == str(tmp_path / "people" / "1")
    manifest = read_bundle(tmp_path / "people" / "1", name="people", version=1).manifest
    assert manifest.task == "token-classification"
    assert manifest.provenance["training"] is None  # not ours to say
    assert manifest.provenance["scored_on"] is None
    assert str(tiny_checkpoints["ner"].parent) not in manifest.model_dump_json()
    assert list(manifest.graphs) == ["int8"]
    assert len(manifest.probes) == 8


def test_fp16_alone_can_be_exported_where_nothing_runs_it(tiny_checkpoints, tmp_path):
    checkpoint = str(tiny_checkpoints["classify"])
    main(
        ["export", checkpoint, "--name", "gpu", "--precision", "fp16", "--models", str(tmp_path), "--max-length", "64"]
    )

    manifest = read_bundle(tmp_path / "gpu" / "1", name="gpu", version=1).manifest
    assert sorted(manifest.files) == ["README.md", "config.json", "model.fp16.onnx", "tokenizer.json"]
    assert manifest.graphs["fp16"].tolerance == 0.1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "Bad Name"], "name: a name has up to 64 lower-case letters.*such as bad-name"),
        (["--name", "x", "--max-length", "5"], "export.max_length: input should be greater than or equal to 8"),
        (["--name", "x"], "there is no folder"),
        (["--name", "x", "--texts", "missing.txt"], "missing.txt: cannot be opened"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence_and_nothing_is_published(arguments, sentence, tmp_path):
    with pytest.raises(SystemExit, match=sentence):
        main(["export", str(tmp_path / "no-checkpoint"), "--models", str(tmp_path / "models"), *arguments])
    assert not (tmp_path / "models").exists()


def test_without_space_a_sentence_is_all_that_is_left(tiny_checkpoints, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(SystemExit, match="the disk is full; free some space and run the same command again"):
            main(["export", str(tiny_checkpoints["classify"]), "--name", "x", "--models", str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
