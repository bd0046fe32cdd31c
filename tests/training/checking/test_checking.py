"""What `check` finds, where it says that it is, and how it shows it."""

import io
import json
import socket

import numpy as np
import pytest
from huggingface_hub import constants
from rich.console import Console

from training.checking import check, show
from training.checking.lengths import measure_of
from training.checking.near import near_pairs
from training.commands.verbs import VERBS
from training.config import Recipe

FILLER = [{"text": f"this is row {'abcdefghijkl'[i]} of the file {i * 7919}", "label": "pn"[i % 2]} for i in range(12)]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def findings_of(tmp_path, train, test=None, task="classification", base="/nowhere", **training):
    files = {"train": train, "test": test}
    data = {}
    for split, rows in files.items():
        if rows is not None:
            data[split] = f"{split}.{'conll' if task == 'ner' else 'jsonl'}"
            if isinstance(rows, str):
                (tmp_path / data[split]).write_text(rows, encoding="utf-8")
            else:
                write(tmp_path / data[split], rows)
    tree = {"name": "x", "task": task, "base": str(base), "data": data, "training": training}
    return check(Recipe.model_validate(tree), tmp_path)


def one(findings, name, splits=None):
    [found] = [each for each in findings if each.check == name and splits in (None, each.splits)]
    return found


def test_clean_data_has_notes_only(tmp_path):
    findings = findings_of(tmp_path, FILLER)
    assert {each.severity for each in findings if each.check != "rare label"} == {"note"}
    assert one(findings, "size").summary == "examples: train 12"
    assert one(findings, "class balance").summary == "2 labels, 6 to 6 examples of each"


def test_rows_that_training_refuses_are_counted_to_the_end(tmp_path):
    bad = [{"text": " ", "label": "p"}, {"label": "p"}, {"text": "x", "label": None}, {"text": "", "label": "n"}]
    findings = findings_of(tmp_path, FILLER + bad)
    assert one(findings, "empty text").count == 2
    assert one(findings, "empty text").examples[0].startswith("train.jsonl:13: 'text' must be")
    assert [one(findings, name).count for name in ("missing column", "no label")] == [1, 1]
    assert findings[0].severity == "error"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "train.jsonl").write_bytes(b'{"text": "\xff", "label": "p"}\n')
    tree = {"name": "x", "task": "classification", "base": "/nowhere"}
    findings = check(Recipe.model_validate(tree | {"data": {"train": "train.jsonl", "test": "no.csv"}}), tmp_path)
    assert one(findings, "encoding of the file").count == 1
    assert "no.csv: cannot be opened" in one(findings, "unreadable").examples[0]


def test_labels_unknown_rare_and_out_of_balance(tmp_path):
    train = [{"text": f"word {i * 7919}", "label": "p" if i else "n"} for i in range(40)]
    findings = findings_of(tmp_path, train, [{"text": "else", "label": "q"}])
    assert one(findings, "unknown label").severity == "error"
    assert one(findings, "unknown label").examples == ("test.jsonl:1  'q'",)
    assert one(findings, "rare label").examples == ("'n': 1 examples",)
    assert one(findings, "class balance").severity == "warning"


def test_copies_within_across_and_in_conflict(tmp_path):
    train = [*FILLER, {"text": "A  fine film", "label": "p"}, {"text": "a fine film", "label": "n"}]
    findings = findings_of(tmp_path, train, [{"text": "A FINE FILM", "label": "p"}, {"text": "unlike", "label": "p"}])
    assert one(findings, "duplicate", "train").count == 1
    assert one(findings, "duplicate", "train, test").examples[0].startswith("train.jsonl:13 = test.jsonl:1  ")
    assert "p against n" in one(findings, "conflicting labels").examples[0]


def test_near_copies_across_splits_and_with_other_labels(tmp_path):
    text = "easy to use, and it takes great pictures of everything"
    findings = findings_of(tmp_path, [*FILLER, {"text": text, "label": "p"}], [{"text": f"Very {text}!", "label": "n"}])
    assert one(findings, "near-duplicate", "train, test").count == 1
    assert "p against n" in one(findings, "conflicting labels").examples[0]
    assert not [each for each in findings if each.check == "duplicate"]


def test_near_pairs_are_those_of_an_exhaustive_search():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 4)) for _ in range(40)]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(60)]
    texts += [f"{text} {words[i % 40]}" for i, text in enumerate(texts[:30])] + ["!!", "?"]

    def shingles(text):
        return {f" {text} "[i : i + 5] for i in range(len(text) - 2)}

    def resemblance(i, j):
        return len(shingles(texts[i]) & shingles(texts[j])) / len(shingles(texts[i]) | shingles(texts[j]))

    expected = {(i, j) for j in range(90) for i in range(j) if resemblance(i, j) >= 0.7}
    assert len(expected) >= 30
    assert {(i, j) for i, j, _ in near_pairs(texts)} == expected
    assert near_pairs([]) == []


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("caf\u00c3\u00a9 au lait", "mojibake"),
        ("it\u00e2\u20ac\u2122s fine", "mojibake"),
        ("lost \ufffd", "U+FFFD"),
        ("a bell \x07", "control"),
        ("cafe\u0301", "decomposed"),
    ],
)
def test_encoding_trouble_is_found(tmp_path, text, summary):
    findings = findings_of(
        tmp_path,
        [*FILLER, {"text": "un caf\u00e9 \u2013 \u00e0 Z\u00fcrich", "label": "p"}, {"text": text, "label": "p"}],
    )
    assert one(findings, "encoding").summary.startswith(summary)
    assert one(findings, "encoding").examples[0].startswith("train.jsonl:14")


def test_tags(tmp_path):
    train = "Ada B-PER\nin O\n\nBob I-PER\nran O\n\nwe O\nS-x Q-x\n"
    findings = findings_of(tmp_path, train, "Rome B-LOC\n", task="ner")
    illegal = {each.severity: each for each in findings if each.check == "illegal tags"}
    assert illegal["error"].examples[0].startswith("train.conll:8: 'Q-x' is no tag of the scheme IOB2")
    assert illegal["warning"].examples[0].startswith("train.conll:4  Bob ran")
    assert one(findings, "unknown label").examples == ("test.conll:1  'LOC'",)


def test_lengths_are_of_the_base(tmp_path, tiny_base):
    findings = findings_of(tmp_path, [*FILLER, {"text": "long " * 40, "label": "p"}], base=tiny_base, max_length=64)
    length = one(findings, "length")
    assert (length.severity, length.count) == ("warning", 1)
    assert length.examples[0].startswith("train.jsonl:13  ")
    assert "not measured" in one(findings_of(tmp_path, FILLER), "length").summary


def test_a_hub_that_cannot_be_reached_is_asked_once(tmp_path, monkeypatch):
    def wait(seconds):
        raise AssertionError(f"waited for {seconds} s")

    with socket.socket() as bound:  # nobody listens
        bound.bind(("127.0.0.1", 0))
        hub = f"http://127.0.0.1:{bound.getsockname()[1]}"
        there = {"ENDPOINT": hub, "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub}/{{repo_id}}/resolve/{{revision}}/{{filename}}"}
        for name, value in {**there, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": False}.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", wait)
        assert measure_of("org/name") is None


def test_numbers_are_described(tmp_path):
    rows = [{"text": f"word {i * 7919}", "label": i + 0.5} for i in range(9)]
    assert one(findings_of(tmp_path, rows), "targets").summary == "numbers from 0.5 to 8.5, median 4.5"


@pytest.mark.parametrize(("label", "status"), [("p", 0), ("q", 1)])
def test_the_command_prints_a_table_and_fails_on_errors(tmp_path, capsys, label, status):
    write(tmp_path / "train.jsonl", FILLER)
    write(tmp_path / "test.jsonl", [{"text": "unlike", "label": label}])
    files = ["--train", "train.jsonl", "--test", "test.jsonl", "--data", str(tmp_path)]
    assert VERBS["check"].run(["--task", "classification", "--base", "/nowhere", *files]) == status
    assert ("Training would stop" if status else "Training can start.") in capsys.readouterr().out


def test_the_table_shows_places_and_remedies(tmp_path):
    findings = findings_of(tmp_path, [*FILLER, {"text": "[bold]", "label": "p"}, {"text": "[bold]", "label": "p"}])
    page = io.StringIO()
    show(findings, Console(file=page, width=100))
    assert "train.jsonl:13 = train.jsonl:14  '[bold]'" in page.getvalue()
    assert "Keep one of each" in page.getvalue()
