"""Files with outputs of their own: the same bytes as one by one, once only, and gone on with."""

import gzip
import shutil
from pathlib import Path

import pytest

from app.bulk.many import FINISHED
from app.bulk.resuming import Partial

FILES = ("a.csv", "b/c.csv.gz", "b/d.tsv", "b/e.jsonl", "f.txt")
OUTPUTS = ("a.csv", "b/c.csv.gz", "b/d.tsv", "b/e.jsonl", "f.jsonl")


@pytest.fixture
def inputs(tmp_path):
    """Fill the folder `in`."""
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    (folder / "a.csv").write_text("id,text\n" + "".join(f"{n},good play {n}\n" for n in range(50)))
    (folder / "b/c.csv.gz").write_bytes(gzip.compress(b'id,text\n1,good\n2,"bad\n'))
    (folder / "b/d.tsv").write_text("text\tid\ngood\t1\n\t2\n")
    (folder / "b/e.jsonl").write_text('{"text": "a play", "id": 1}\n{"text": 5}\n')
    (folder / "f.txt").write_text("good\na bad play\n")
    (folder / "notes.md").write_text("no rows")
    (folder / ".hidden.csv").write_text("text\nno\n")
    return folder


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def results(folder):
    return {name: content for name, content in contents(folder).items() if FINISHED not in name}


def test_each_file_has_the_output_that_it_has_by_itself(predict, inputs, capsys):
    Path("one/b").mkdir(parents=True)
    for name, output in zip(FILES, OUTPUTS, strict=True):
        assert predict(f"in/{name}", "-o", f"one/{output}", "--text-column", "text") == 0
    capsys.readouterr()
    assert predict("in", "-o", "out/", "--text-column", "text") == 0
    assert results(Path("out")) == contents(Path("one"))
    assert "58 rows in 5 files, written to" in capsys.readouterr().err


def test_formats_of_outputs_may_be_others(predict, inputs):
    assert predict("in/a.csv", "in/b/c.csv.gz", "-o", "out/", "--output-format", "jsonl") == 0
    assert sorted(results(Path("out"))) == ["a.jsonl", "c.jsonl.gz"]


def test_what_is_finished_is_not_answered_again(predict, inputs, capsys):
    assert predict("in/a.csv", "in/f.txt", "-o", "out/") == 0
    stamps = {name: Path("out", name).stat().st_mtime_ns for name in ("a.csv", "f.jsonl")}
    Path("out/f.jsonl").unlink()
    capsys.readouterr()
    assert predict("in/a.csv", "in/f.txt", "-o", "out/") == 0
    assert "2 files, 1 of them by an earlier run" in capsys.readouterr().err
    assert Path("out/a.csv").stat().st_mtime_ns == stamps["a.csv"]
    assert Path("out/f.jsonl").exists()


def test_outputs_that_lie_among_the_inputs_are_none(predict, inputs, capsys):
    for before in ("", ", 5 of them by an earlier run"):
        assert predict("in", "-o", "in/answered/", "--text-column", "text") == 0
        assert f"58 rows in 5 files{before}, written to" in capsys.readouterr().err
    assert sorted(results(Path("in/answered"))) == sorted(OUTPUTS)


def test_another_question_is_not_taken_for_an_answer(predict, inputs, capsys):
    assert predict("in/a.csv", "in/f.txt", "-o", "out/") == 0
    Path("in/f.txt").write_text("another\n")
    assert predict("in/a.csv", "in/f.txt", "-o", "out/") == 1
    assert "f.jsonl was made with another input; name another folder, or add --restart" in capsys.readouterr().err
    assert predict("in/a.csv", "in/f.txt", "-o", "out/", "--restart") == 0
    assert len(Path("out/f.jsonl").read_text().splitlines()) == 1


def test_a_file_that_was_begun_is_gone_on_with(predict, inputs, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    assert predict("in", "-o", "whole/", "--text-column", "text") == 0
    with monkeypatch.context() as patch:
        patch.setattr(Partial, "finish", killed)
        with pytest.raises(Killed):
            predict("in", "-o", "out/", "--text-column", "text")
    assert predict("in", "-o", "out/", "--text-column", "text") == 0
    assert results(Path("out")) == results(Path("whole"))
    assert not list(Path("out").rglob("*.partial"))


def test_files_that_cannot_be_read_leave_the_others_whole(predict, inputs, capsys):
    Path("in/b/d.tsv").write_text("")
    assert predict("in", "-o", "out/") == 1
    said = capsys.readouterr().err
    assert "in/b/d.tsv has no output: d.tsv: it is empty; the first line must name the columns" in said
    assert sorted(results(Path("out"))) == sorted(set(OUTPUTS) - {"b/d.tsv"})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["in/a.csv", "copy/a.csv", "-o", "out/"], "would both be"),
        (["in/nothing.csv", "-o", "out/"], "there is no such file or folder"),
        (["in", "-o", "in/a.csv/"], "is no folder"),
        (["empty", "-o", "out/"], "there is no file in it"),
        (["-", "-o", "out/"], "need names"),
        (["in/a.csv", "--ray", "local"], "need names"),
    ],
)
def test_what_cannot_be_done_is_said(predict, inputs, capsys, arguments, sentence):
    Path("empty").mkdir()
    shutil.copytree("in", "copy")
    assert predict(*arguments) == 1
    assert sentence in capsys.readouterr().err
