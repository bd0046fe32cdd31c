"""What `check` says of files as they come: what was found about them, and what training would refuse."""

import json

import pytest

from training.checking import check
from training.config import Recipe
from training.data import DataError
from training.tasks import training_task


def findings_of(tmp_path, name, content, task="classification", encoding="utf-8", **data):
    (tmp_path / name).write_bytes(content.encode(encoding))
    tree = {"name": "x", "task": task, "base": "/nowhere", "data": {"train": name} | data}
    recipe = Recipe.model_validate(tree)
    return {each.check: each for each in check(recipe, tmp_path)}, recipe


def rows_of(pairs):
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs)


def filler(count, labels="pn"):
    return [(f"this is row {'abcdefghijkl'[i % 12]} of {i * 7919}", labels[i % len(labels)]) for i in range(count)]


def test_what_was_found_about_a_file_is_a_note(tmp_path):
    content = "text;label\n" + "".join(f"{text}, é;{label}\n" for text, label in filler(30))
    found, _ = findings_of(tmp_path, "a.csv", content, encoding="cp1252")
    assert found["file"].summary == "cells separated by a semicolon, encoding cp1252"
    assert {each.severity for each in found.values()} == {"note"}


def test_spellings_of_labels_are_counted(tmp_path):
    labels = [("a b c", " p"), ("d e f", "P"), ("g h i", "nan"), ("j k l", "-1")]
    found, _ = findings_of(tmp_path, "a.jsonl", rows_of([*filler(30), *labels]))
    assert found["label spelling"].examples == ("'P' 1, 'p' 16",)
    assert (found["label of none"].count, found["label of none"].examples) == (2, ("'nan' 1", "'-1' 1"))
    assert "data.drop_unlabeled" in found["label of none"].remedy
    found, _ = findings_of(tmp_path, "a.jsonl", rows_of([*filler(30), *labels]), drop_unlabeled=True)
    assert "label of none" not in found


REFUSED = {
    "one text for each label": (
        "a.jsonl",
        rows_of((f"text {i} {i * 7919}", f"l{i}") for i in range(60)),
        "classification",
    ),
    "equal texts": ("a.jsonl", rows_of(("same", "pn"[i % 2]) for i in range(60)), "classification"),
    "no empty lines": ("a.conll", "Ada B-PER\nran O\n" * 300, "ner"),
    "one wrong number": (
        "a.jsonl",
        rows_of([*((f"t {i}", i / 7) for i in range(60)), ("u", "unknown")]),
        "classification",
    ),
    "0 and 1": ("a.jsonl", rows_of((f"t {i}", [i % 2, 1, 1]) for i in range(60)), "classification"),
    "no header": ("a.csv", "good,p\nbad,n\nfine,p\n", "classification"),
    "no tags": ("a.conll", "Ada x\nran y\n", "ner"),
    "a span of nothing": ("a.jsonl", json.dumps({"text": "Ada", "label": [[0, 9, "PER"]]}), "ner"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_check_refuses_what_training_would(tmp_path, kind):
    name, content, task = REFUSED[kind]
    found, recipe = findings_of(tmp_path, name, content, task)
    with pytest.raises(DataError) as caught:
        training_task(recipe.task).read_splits(recipe, tmp_path)
    errors = [each for each in found.values() if each.severity == "error"]
    assert any(str(caught.value).replace(f"{tmp_path}/", "") in each.examples for each in errors)


def test_one_long_sentence_is_a_warning(tmp_path):
    found, _ = findings_of(tmp_path, "a.conll", "Ada B-PER\nran O\n" * 300, "ner")
    assert found["long sentence"].examples == ("a.conll:1  600 words",)
    assert "empty line" in found["long sentence"].remedy


def test_rows_that_a_quotation_mark_swallowed_are_seen(tmp_path):
    rows = [f"{text},{label}" for text, label in filler(30)]
    content = "\n".join(
        ["text,label", *rows[:10], '"' + rows[10], *rows[11:20], rows[20].replace(",", '",'), *rows[21:]]
    )
    found, _ = findings_of(tmp_path, "a.csv", content)
    assert found["lost rows"].examples[0].startswith("a.csv:22  'this is row k")


def test_spans_within_words_are_a_warning(tmp_path):
    rows = [{"text": f"Adana met Bob {i}", "label": [[0, 3, "PER"], [10, 13, "PER"]]} for i in range(20)]
    found, _ = findings_of(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows), "ner")
    assert found["torn span"].count == 20
    assert found["torn span"].examples[0] == "a.jsonl:1  0..3 'Ada' 'PER'"


def test_long_texts_may_be_read_in_windows(tmp_path, tiny_base):
    content = rows_of([*filler(12), ("long " * 40, "p")])
    for windows in (False, True):
        (tmp_path / "a.jsonl").write_text(content)
        data, training = {"train": "a.jsonl", "windows": windows}, {"max_length": 64}
        tree = {"name": "x", "task": "classification", "base": str(tiny_base), "data": data, "training": training}
        [length] = [each for each in check(Recipe.model_validate(tree), tmp_path) if each.check == "length"]
        assert length.severity == ("note" if windows else "warning")
        assert ("1 of 13 texts are read in windows of 64 tokens" if windows else "set data.windows") in length.remedy
