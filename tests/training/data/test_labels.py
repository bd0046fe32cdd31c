"""Labels as people write them: one class in several spellings, lists in cells, 0 and 1 for each class, none at all."""

import json
import logging

import pytest

from training.config import DataConfig, Recipe
from training.data import DataError, find_problem_type, label_names, label_remarks, read_classification
from training.data.cells import unfolded
from training.tasks import training_task


def write(path, labels, **more):
    rows = [{"text": f"text {index}", "label": label} | more for index, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def names_of(tmp_path, labels, **data):
    return label_names(read_classification(write(tmp_path / "a.jsonl", labels), DataConfig(**data)))


@pytest.mark.parametrize("other", [" pos", "pos ", "pos\u00a0", "pos\n", "\ufeffpos", "po\u200bs"])
def test_white_space_makes_no_class(tmp_path, other):
    assert names_of(tmp_path, ["pos", other, "neg"]) == ("neg", "pos")


def test_unicode_forms_and_inner_spaces_make_no_class(tmp_path):
    assert names_of(tmp_path, ["caf\u00e9", "cafe\u0301", "very  good", "very\u00a0good"]) == ("caf\u00e9", "very good")


def test_spellings_are_said_with_counts(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    name = write(tmp_path / "a.jsonl", ["pos"] * 9 + [" pos"] * 2 + ["Pos"] * 3 + ["neg"] * 9 + ["N/A"] * 4).name
    tree = {"name": "x", "task": "classification", "data": {"train": name}}
    splits = training_task("text-classification").read_splits(Recipe.model_validate(tree), tmp_path)
    assert splits.labeling.labels == ("N/A", "Pos", "neg", "pos")
    assert "are read as one: 'pos' 9, ' pos' 2." in caplog.text
    assert "are classes of their own: 'Pos' 3, 'pos' 11." in caplog.text
    assert "often stand for none are classes here: 'N/A' 4. Set data.drop_unlabeled" in caplog.text
    caplog.clear()
    dropping = Recipe.model_validate(tree | {"data": {"train": name, "drop_unlabeled": True}})
    assert training_task("text-classification").read_splits(dropping, tmp_path).labeling.labels == ("Pos", "neg", "pos")
    assert "4 rows without a label are left out" in caplog.text


MISSING = ["nan", "NaN", "None", "N/A", "NA", "null", "<NA>", "-1"]


@pytest.mark.parametrize("missing", MISSING)
def test_what_stands_for_no_label_is_said_and_dropped_on_request(tmp_path, missing):
    labels = ["a", "b", missing, "a"]
    assert missing in names_of(tmp_path, labels)
    assert names_of(tmp_path, labels, drop_unlabeled=True) == ("a", "b")
    assert [each.check for each in label_remarks({"a": 2, "b": 1, missing: 1})] == ["label of none"]
    assert label_remarks({missing: 1}, are_numbers=True) == []


def test_empty_labels_are_refused_or_dropped(tmp_path):
    for missing in (None, "", " ", float("nan")):
        with pytest.raises(DataError, match=r"a\.jsonl:2: 'label' is empty; .*or set data\.drop_unlabeled"):
            names_of(tmp_path, ["a", missing, "b"])
        assert names_of(tmp_path, ["a", missing, "b"], drop_unlabeled=True) == ("a", "b")


def test_numbers_keep_their_minus_one(tmp_path):
    path = write(tmp_path / "a.jsonl", [-1, 0.5, 2.5, "nan"])
    found = read_classification(path, DataConfig(drop_unlabeled=True))
    assert [each.target for each in found] == [-1.0, 0.5, 2.5]
    with pytest.raises(DataError, match=r"a\.jsonl:4: 'nan' stands for no number; give the row a number"):
        read_classification(path, DataConfig())


@pytest.mark.parametrize("odd", ["inf", "unknown", "3.4.5"])
def test_a_label_that_is_no_number_among_many_is_named(tmp_path, odd):
    labels = [f"{index / 7:.3f}" for index in range(60)]
    path = write(tmp_path / "a.jsonl", [*labels[:30], odd, *labels[30:]])
    with pytest.raises(
        DataError, match=rf"a\.jsonl:31: '{odd}' is no number; correct it, or set problem_type to single"
    ):
        read_classification(path, DataConfig())


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("['joy', 'x']", ["joy", "x"]),
        ('["joy"]', ["joy"]),
        ('{"choices": ["a", "x"]}', ["a", "x"]),
        ({"choices": ["a"]}, ["a"]),
        ("['a' 'b']", ["a", "b"]),
        ("('a', 'b')", ["a", "b"]),
        ("[]", []),
        ("[1, 0, 1]", [1, 0, 1]),
        ("[x]", "[x]"),
        ("[[1]]", "[[1]]"),
        ('{"a": 1}', '{"a": 1}'),
        ("(ok)", "(ok)"),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
    ],
)
def test_a_cell_with_a_list_is_one(cell, expected):
    assert unfolded(cell) == expected


def test_lists_in_the_cells_of_a_table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\na,"[\'joy\', \'x\']"\nb,"[""joy""]"\nc,"{""choices"":[""a"",""x""]}"\n')
    assert [each.labels for each in read_classification(path, DataConfig())] == [("joy", "x"), ("joy",), ("a", "x")]


def test_one_label_in_each_list_is_not_multi_label():
    assert find_problem_type([["a"], ["b"]], None) == ("single_label_classification", "every list of labels has one")
    assert find_problem_type([["a"], []], None)[0] == "multi_label_classification"


def test_lists_of_zero_and_one_need_names(tmp_path):
    lists = [[1, 0, 1], [0, 0, 0], [0, 1.0, 0]]
    with pytest.raises(
        DataError, match=r"the labels are lists of 3 times 0 or 1, and nothing says .* 3 names in their"
    ):
        names_of(tmp_path, lists)
    with pytest.raises(DataError, match=r"and data\.label_names has 2; set data\.label_names to 3 names"):
        names_of(tmp_path, lists, label_names=("a", "b"))
    path = write(tmp_path / "a.jsonl", lists)
    found = read_classification(path, DataConfig(label_names=("a", "b", "c")))
    assert [each.labels for each in found] == [("a", "c"), (), ("b",)]
    one_hot = read_classification(write(tmp_path / "b.jsonl", [[1, 0], [0, 1]]), DataConfig(label_names=("a", "b")))
    assert [each.labels for each in one_hot] == [("a",), ("b",)]


def test_a_column_for_each_label(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;joy;fear\na;1;0\nb;0;0\nc;1.0;TRUE\n")
    data = DataConfig(label_columns=("joy", "fear"))
    assert [each.labels for each in read_classification(path, data)] == [("joy",), (), ("joy", "fear")]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("2", r"a\.csv:3: 'joy' must be 0 or 1, found '2'; correct it"),
        ("", r"a\.csv:3: 'joy' says neither yes nor no; write 0 or 1, remove the row, or set data\.drop_unlabeled"),
        ("-1", r"a\.csv:3: 'joy' says neither"),
    ],
)
def test_a_cell_that_is_neither_zero_nor_one_is_named(tmp_path, cell, message):
    path = tmp_path / "a.csv"
    path.write_text(f"text,joy,fear\na,1,0\nb,{cell},1\n")
    with pytest.raises(DataError, match=message):
        read_classification(path, DataConfig(label_columns=("joy", "fear")))
    if cell != "2":
        assert len(read_classification(path, DataConfig(label_columns=("joy", "fear"), drop_unlabeled=True))) == 1
    with pytest.raises(DataError, match=r"no column 'joi'; correct data\.label_columns, perhaps 'joy'"):
        read_classification(path, DataConfig(label_columns=("joi",)))
