"""What bad input and a failing machine get: one sentence that says what to do, and nothing half-published."""

from __future__ import annotations

import errno
import gzip
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel, RobertaForMaskedLM

import training.commands.finetune
import training.export.draft
from app.bundle import new_version, versions
from app.serving.scanning import is_bundle
from tests.support.tiny import save_checkpoint, tiny_config
from training.__main__ import main
from training.config import Recipe, RecipeError
from training.fit.checkpoints import WHOLE
from training.fit.runs import claim

GOOD = "text,label\n" + "a good film,p\na bad film,n\n" * 4
FIELDS = {"name": "tiny", "task": "classification", "data": {"train": "train.csv"}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder that the commands run in, with a file good.csv."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    return tmp_path


def sentence_of(*arguments: object) -> str:
    """Run a command that must fail; return its one line for standard error."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    sentence = caught.value.code
    assert isinstance(sentence, str)
    assert sentence.startswith("roberta-train: ")
    assert sentence.count("\n") == 0
    return sentence


def finetune(*more: object, train: str = "good.csv", base: object = "nowhere", task: str = "classification") -> str:
    splits = [word for split in ("train", "validation", "test") for word in (f"--{split}", train)]
    sentence = sentence_of("finetune", "--task", task, *splits, "--base", base, "--name", "x", *more)
    assert not Path("models").exists()
    return sentence


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("no.csv", None, "there is no such file; did you mean good.csv?"),
        ("a.csv", b"", "holds no examples"),
        ("a.csv", b"text,label\n", "holds no examples"),
        ("a.csv", b"\x89PNG\r\n\x1a\n", "not utf-8; save the file as UTF-8"),
        ("a.csv", GOOD.encode("utf-16")[:-1], "cannot be read as utf-16"),
        ("a.csv", b"PK\x03\x04", "it is a workbook or an archive; save the sheet as CSV"),
        ("a.csv", GOOD.replace("label", "lable").encode(), "set data.label_column, perhaps to 'lable'"),
        (
            "a.csv",
            GOOD.encode() + b"x,\n",
            "a.csv:10: 'label' is empty; give the row a label, remove it, or set data.drop_unlabeled",
        ),
        ("a.csv.gz", gzip.compress(GOOD.encode())[:30], "it is not gzip, or is cut short: make it again"),
        ("a.csv.gz", GOOD.encode(), "it is not gzip, or is cut short: make it again"),
        ("a.jsonl", b'{"text": "x", "label": "p"', "put one whole object on each line"),
        ("a.jsonl", b'{"text": "x", "label": ' + b"9" * 5000 + b"}\n", "put one whole object on each line"),
        (
            "a.jsonl",
            b'{"text": "half \\ud800", "label": "p"}\n',
            "half of a surrogate pair is escaped; write whole characters",
        ),
        (
            "a.jsonl",
            b'[{"text": "x", "label": "p"}, 3]\n',
            "a.jsonl:2: expected a JSON object, found int; make each item",
        ),
        ("a.parquet", b"PAR1 cut short", "write it again"),
        ("a.xlsx", b"PK", "set data.format to one of jsonl, csv, tsv, parquet, conll, squad, text"),
    ],
)
def test_a_broken_file_is_one_sentence(name, content, sentence, folder):
    if content is not None:
        (folder / name).write_bytes(content)
    assert sentence in finetune(train=name)
    assert not (folder / "runs").exists()


def test_a_folder_in_place_of_a_file_is_one_sentence(folder):
    (folder / "a.csv").mkdir()
    assert "a.csv: cannot be opened: Is a directory; name a file" in finetune(train="a.csv")


def test_a_label_that_only_the_test_split_has_is_one_sentence(folder):
    (folder / "test.csv").write_text("text,label\nx,zzz\n", encoding="utf-8")
    assert "test.csv:2: label 'zzz' does not occur in good.csv; add training" in finetune("--test", "test.csv")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("training.epoch=3", "unknown key training.epoch; the nearest known key is training.epochs"),
        ("trainin.epochs=3", "unknown key trainin; the nearest known key is training"),
        ("training.epochs=many", "training.epochs: input should be a valid number"),
        ("training.epochs=inf", "training.epochs: input should be a finite number"),
        ("training.learning_rate=nan", "training.learning_rate: input should be"),
        ("seed=99999999999", "seed: input should be less than or equal to 1000000000"),
        ("=3", "--set =3: write KEY=VALUE"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(setting, sentence, folder):
    assert sentence in finetune("--set", setting)


@pytest.mark.parametrize("content", ["name = ", "[training]\nepochs = 1\n[training]\n", "\x00"])
def test_a_recipe_that_is_no_toml_is_one_sentence(content, folder):
    (folder / "r.toml").write_text(content, encoding="utf-8")
    for verb in ("finetune", "check", "pretrain"):
        assert "r.toml: the recipe cannot be read" in sentence_of(verb, "r.toml")


def no_encoder(folder: Path) -> Path:
    shape = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}
    return save_checkpoint(GPT2LMHeadModel(GPT2Config(vocab_size=400, **shape)), folder)


def without_tokenizer(folder: Path) -> Path:
    RobertaForMaskedLM(tiny_config(400)).save_pretrained(folder)
    return folder


def with_too_few_vectors(folder: Path) -> Path:
    return save_checkpoint(RobertaForMaskedLM(tiny_config(100)), folder)


def with_broken_weights(folder: Path) -> Path:
    save_checkpoint(RobertaForMaskedLM(tiny_config(400)), folder)
    (folder / "model.safetensors").write_bytes(b"\xff" * 1000)
    return folder


BASES = [
    (no_encoder, "is not an encoder that can be used here"),
    (
        without_tokenizer,
        "has no tokenizer that can be loaded; put its tokenizer.json, or that of its base, beside config.json",
    ),
    (with_too_few_vectors, "and the model vectors for 100; put the tokenizer beside it"),
    (with_broken_weights, "cannot be loaded"),
    (lambda folder: folder, "there is no folder"),
]


@pytest.mark.parametrize(("make", "sentence"), BASES)
def test_a_base_that_cannot_be_used_is_one_sentence_for_every_verb(make, sentence, tiny_checkpoints, folder):
    base, good = make(folder / "base"), tiny_checkpoints["fill-mask"]
    (folder / "p.toml").write_text(
        f'name = "p"\nbase = "{base}"\n[data]\ntrain = ["good.csv"]\nvalidation = "good.csv"\n', encoding="utf-8"
    )
    assert sentence in finetune(base=base)
    assert sentence in sentence_of("pretrain", "p.toml")
    assert sentence in sentence_of("export", base, "--name", "x")
    assert str(base) in sentence_of("transplant", "--body", base, "--tokenizer", good, "--out", "t")
    assert not (folder / "models").exists()
    assert not (folder / "t").exists()


def test_a_base_that_was_mistyped_can_be_corrected_in_the_same_run_folder(folder):
    for base in ("nowhere", "nowhere-else"):
        assert f"base {base} cannot be loaded" in finetune(base=base)


def test_a_folder_keeps_to_the_training_that_it_holds_even_where_its_recipe_is_damaged(tmp_path):
    first, second = (Recipe.model_validate(FIELDS | {"seed": seed}) for seed in (1, 2))
    include = frozenset({"seed"})
    claim(tmp_path, first, include, {})
    (tmp_path / "recipe.json").write_text("", encoding="utf-8")  # as a full disk leaves it
    claim(tmp_path, first, include, {})
    whole = tmp_path / "trainer" / "checkpoint-1"
    whole.mkdir(parents=True)
    claim(tmp_path, second, include, {})  # the checkpoint is not whole: nothing is there to go on from
    (whole / WHOLE).touch()
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        claim(tmp_path, first, include, {})
    (tmp_path / "recipe.json").write_text("", encoding="utf-8")
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        claim(tmp_path, second, include, {})


def test_where_nothing_can_be_published_no_time_is_spent_on_training(folder, monkeypatch):
    monkeypatch.setattr(training.commands.finetune, "finetune", lambda *args: pytest.fail("trained"))
    assert "--models good.csv/m: " in finetune("--models", "good.csv/m")
    assert "is no folder that can be written to; name another" in finetune("--models", "good.csv")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "f"),
            "f: the disk is full; free some space and run the same",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "f"), "f: Permission denied; name another place"),
        (FileExistsError(errno.EEXIST, "File exists", "f"), "f: File exists; name another place"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "f"), "f: File name too long; name another place"),
    ],
)
def test_what_the_machine_refuses_is_one_sentence(error, sentence, folder, monkeypatch):
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(training.commands.finetune, "finetune", fail)
    assert sentence in finetune()


def test_an_error_of_the_code_keeps_its_traceback(folder, monkeypatch):
    monkeypatch.setattr(training.commands.finetune, "finetune", lambda *args: [][0])
    with pytest.raises(IndexError):
        main(["finetune", "--task", "classification", "--train", "good.csv"])


def test_a_disk_that_is_full_while_publishing_leaves_nothing_behind(tiny_checkpoints, folder, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training.export.draft.onnx, "save", full)
    sentence = sentence_of("export", tiny_checkpoints["classify"], "--name", "x", "--max-length", 64)
    assert "the disk is full; free some space and run the same command again" in sentence
    assert not list((folder / "models").iterdir())


def test_what_a_killed_publisher_leaves_is_not_served_and_the_next_one_removes_it(tmp_path):
    killed = (
        "import os, pathlib, sys; from app.bundle import new_version\n"
        "with new_version(pathlib.Path(sys.argv[1]), 'x') as (folder, version):\n"
        "    (folder / 'model.onnx').write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "x").iterdir()] == [".partial-1"]
    assert not is_bundle(tmp_path / "x")
    with new_version(tmp_path, "x") as (folder, version):
        assert version == 1
        assert not list(folder.iterdir())
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["1"]


def test_two_publishers_of_one_name_get_versions_of_their_own(tmp_path):
    with new_version(tmp_path, "x") as (first, _):
        with new_version(tmp_path, "x") as (_, second):
            assert second == 2
        assert first.is_dir()
    assert versions(tmp_path, "x") == [2, 1]


def test_a_publication_that_fails_leaves_no_empty_folder(tmp_path):
    with pytest.raises(RuntimeError), new_version(tmp_path, "x"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("task", "name", "content", "found"),
    [
        ("classification", "a.csv", "text,label\nx,p\ny,p\n", "only the label 'p'"),
        ("ner", "a.conll", "a O\nb O\n\n", "no label, or no entity"),
    ],
)
def test_check_says_that_there_is_nothing_to_learn(task, name, content, found, folder, capsys):
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["check", "--task", task, "--train", name, "--base", "nowhere"])
    assert caught.value.code == 1
    assert found in capsys.readouterr().out
