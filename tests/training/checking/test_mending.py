"""`check --json` and `check --fix`: findings for programs, and splits without what can only be left out."""

import csv
import json

import pytest

from training.__main__ import main

TRAIN = "text,label\na good film,pos\na bad film,neg\na bad film,neg\n,pos\nso nice,pos\nin test,neg\nso nice,neg\n"


@pytest.fixture
def data(tmp_path):
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "test.csv").write_text('text,label\nin test,neg\n"fine, really",pos\n')
    return tmp_path


def check(data, *more, train="train.csv"):
    files = ["--train", train, "--test", "test.csv", "--data", str(data), "--base", "/nowhere"]
    with pytest.raises(SystemExit) as ended:
        main(["check", "--task", "classification", *files, *more])
    return ended.value.code


def test_findings_are_json_for_programs(data, capsys):
    assert check(data, "--json") == 1
    findings = json.loads(capsys.readouterr().out)
    assert {"severity", "check", "splits", "count", "summary", "examples", "remedy"} == set(findings[0])
    assert "empty text" in [each["check"] for each in findings]


def test_what_can_only_be_left_out_is_left_out_and_what_a_person_must_decide_stays(data, tmp_path, capsys):
    out = tmp_path / "mended"
    check(data, "--fix", str(out))
    rows = list(csv.DictReader((out / "train.csv").read_text().splitlines()))
    assert [(row["text"], row["label"]) for row in rows] == [
        ("a good film", "pos"),
        ("a bad film", "neg"),
        ("so nice", "pos"),
        ("so nice", "neg"),  # two answers to one text: a person must decide
    ]
    assert (out / "test.csv").read_text() == (data / "test.csv").read_text()
    said = capsys.readouterr().err
    assert "1 that training refuses, 1 that an earlier row has, 1 that a later split has" in said
    assert check(data, "--fix", str(out)) == f"roberta-train: {out} is not empty; name another folder with --fix"


def test_other_tables_are_written_as_json_lines(data, tmp_path, capsys):
    rows = [{"text": f"text {number}", "label": number % 2} for number in range(8)]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    check(data, "--fix", str(tmp_path / "mended"), train="train.jsonl")
    assert len((tmp_path / "mended" / "train.jsonl").read_text().splitlines()) == 8
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("check again: roberta-train check --task ")
    assert said.endswith(f" --train train.jsonl --test test.csv --data {tmp_path / 'mended'}")
