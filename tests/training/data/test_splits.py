"""Splits: read as the recipe names them or made; the problem type and what it makes of labels."""

import json
import logging
from collections import Counter

import pytest

from training.config import Recipe, RecipeError
from training.data import DataError, sample
from training.data.set_aside import set_aside
from training.tasks import training_task


def read_splits(recipe, folder):
    return training_task(recipe.task).read_splits(recipe, folder)


def recipe_of(task="classification", problem_type=None, **data):
    return Recipe.model_validate({"name": "x", "task": task, "problem_type": problem_type, "data": data})


def write_rows(path, labels, key="label"):
    path.write_text("".join(json.dumps({"text": f"text {i}", key: each}) + "\n" for i, each in enumerate(labels)))
    return path.name


def test_a_split_is_made_stratified_seeded_and_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    name = write_rows(tmp_path / "a.jsonl", ["a"] * 60 + ["b"] * 40)
    splits = read_splits(recipe_of(train=name), tmp_path)
    sizes = [Counter(example.labels[0] for example in part) for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [{"a": 48, "b": 32}, {"a": 6, "b": 4}, {"a": 6, "b": 4}]
    texts = [example.text for part in (splits.train, splits.validation, splits.test) for example in part]
    assert sorted(texts) == sorted({f"text {i}" for i in range(100)})
    assert "No validation split is named: 10 of the 90 training examples are set aside" in caplog.text
    assert read_splits(recipe_of(train=name), tmp_path) == splits
    other = read_splits(recipe_of(train=name).model_copy(update={"seed": 7}), tmp_path)
    assert {each.text for each in other.validation} != {each.text for each in splits.validation}


def test_no_test_share_means_no_test(tmp_path):
    name = write_rows(tmp_path / "a.jsonl", "ab" * 10)
    splits = read_splits(recipe_of(train=name, validation=name, test_share=0), tmp_path)
    assert (len(splits.train), len(splits.validation), splits.test) == (20, 20, [])


def test_setting_aside_keeps_every_label_in_train_and_copies_together():
    items = [("Same  text", ["a"]), ("same text", ["a"]), ("only", ["rare"])]
    items += [(f"t{i}", ["a", "b"] if i % 3 else []) for i in range(60)]
    for seed in range(20):
        stay, aside = set_aside(items, 0.3, seed, lambda item: item[0], lambda item: item[1])
        assert len(stay) + len(aside) == len(items)
        assert 15 <= len(aside) <= 22
        assert ("only", ["rare"]) in stay
        assert (items[0] in stay) == (items[1] in stay)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_examples_to_set_any_aside_are_named(tmp_path, count):
    name = write_rows(tmp_path / "a.jsonl", "ab"[:count])
    with pytest.raises(
        DataError, match=r"a\.jsonl: its (2 examples are|only example is) too few to set some aside for test"
    ):
        read_splits(recipe_of(train=name), tmp_path)


def test_shares_that_leave_nothing_are_refused(tmp_path):
    name = write_rows(tmp_path / "a.jsonl", "ab" * 5)
    with pytest.raises(RecipeError, match="leave nothing to train on"):
        read_splits(recipe_of(train=name, validation_share=0.5, test_share=0.5), tmp_path)


def test_train_must_be_named(tmp_path):
    with pytest.raises(RecipeError, match=r"data\.train names no file; give one with --train FILE"):
        read_splits(recipe_of(), tmp_path)


@pytest.mark.parametrize(
    ("labels", "options", "problem_type", "names"),
    [
        (["1", "0", "1", "0"], {}, "single_label_classification", ("0", "1")),
        ([["a"], [], ["a", "b"], "c"], {}, "multi_label_classification", ("a", "b", "c")),
        (["a|b", "", "b | c", "a"], {"label_separator": "|"}, "multi_label_classification", ("a", "b", "c")),
        ([0.5, 1, "2", 3], {}, "regression", ("label",)),
        (["0.5", "1", "x", "3"], {}, "single_label_classification", ("0.5", "1", "3", "x")),
        ([1, 2, 3, 4], {"problem_type": "regression"}, "regression", ("label",)),
        (
            [["a"], ["b"], ["a"], ["b"]],
            {"problem_type": "single_label_classification"},
            "single_label_classification",
            ("a", "b"),
        ),
    ],
    ids=str,
)
def test_the_problem_type_is_found_and_said(tmp_path, caplog, labels, options, problem_type, names):
    caplog.set_level(logging.INFO)
    name = write_rows(tmp_path / "a.jsonl", labels)
    splits = read_splits(_recipe_with(name, **options), tmp_path)
    assert splits.labeling.problem_type == problem_type
    assert splits.labeling.labels == names
    assert f"Problem type: {splits.labeling.problem_type}" in caplog.text
    if splits.labeling.problem_type == "regression":
        assert [example.target for example in splits.train] == [float(label) for label in labels]
        assert all(example.labels == () for example in splits.train)


def _recipe_with(name, problem_type=None, **data):
    return recipe_of("classification", problem_type, train=name, validation=name, test=name, **data)


def test_the_column_labels_is_found_and_others_are_named(tmp_path):
    name = write_rows(tmp_path / "a.jsonl", [["a"], ["b"]], "labels")
    assert read_splits(recipe_of(train=name, validation=name, test=name), tmp_path).labeling.labels == ("a", "b")
    name = write_rows(tmp_path / "b.jsonl", [0.5, 1.5], "score")
    data = {"train": name, "validation": name, "test": name, "label_column": "score"}
    assert read_splits(recipe_of(**data), tmp_path).labeling.labels == ("score",)


@pytest.mark.parametrize(
    ("train", "test", "problem_type", "message"),
    [
        (["a", "b"], ["a", "q"], None, r"test\.jsonl:2: label 'q' does not occur in .*train\.jsonl; add training"),
        (["a", "b"], [["a", "b"]], None, r"test\.jsonl:1: expected one label, found 2; set problem_type to multi"),
        ([0.5, 1.5], ["x"], None, r"test\.jsonl:1: 'x' is no number"),
        (["a", "a"], ["a"], None, r"train\.jsonl: holds only the label 'a', so there is nothing to learn"),
        ([[], []], [[]], None, r"train\.jsonl: holds no label, so there is nothing to learn"),
        (["a", "b"], [None], None, r"test\.jsonl:1: 'label' is empty"),
        (["a", "b"], [], None, r"test\.jsonl: holds no examples"),
        ([["a", ""]], [["a"]], None, r"train\.jsonl:1: a label is empty"),
        (["a", "b"], ["a"], "regression", r"train\.jsonl:1: 'a' is no number; correct it, or set problem_type"),
    ],
)
def test_labels_that_cannot_be_used_are_named(tmp_path, train, test, problem_type, message):
    data = {"train": write_rows(tmp_path / "train.jsonl", train), "test": write_rows(tmp_path / "test.jsonl", test)}
    with pytest.raises(DataError, match=message):
        read_splits(recipe_of(problem_type=problem_type, validation=data["train"], **data), tmp_path)


def test_sentences_train_in_both_spacings_and_are_judged_in_one(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "a.conll").write_text("".join(f"Hi O\n, O\nAda{i} S-PER\n\n" for i in range(100)))
    splits = read_splits(recipe_of("ner", train="a.conll"), tmp_path)
    assert "Tags: BIOES, found from the training split" in caplog.text
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (80, 10, 10)
    assert {example.text.startswith("Hi ,") for example in splits.train} == {True, False}
    assert all(example.text.startswith("Hi,") for example in [*splits.validation, *splits.test])
    assert (splits.labeling.labels, splits.labeling.problem_type) == (("O", "B-PER", "I-PER"), None)


def test_entity_types_that_training_lacks_are_named(tmp_path):
    (tmp_path / "a.conll").write_text("Ada B-PER\n")
    (tmp_path / "b.conll").write_text("in O\nRome B-LOC\n")
    with pytest.raises(DataError, match=r"b\.conll:1: label 'LOC' does not occur in .*a\.conll"):
        read_splits(recipe_of("ner", train="a.conll", validation="a.conll", test="b.conll"), tmp_path)
    (tmp_path / "c.conll").write_text("in O\n")
    with pytest.raises(DataError, match=r"c\.conll: holds no entities"):
        read_splits(recipe_of("ner", train="c.conll", validation="c.conll", test="c.conll"), tmp_path)


def test_documents_are_lines_or_a_column(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"line {i}\n" for i in range(10)))
    splits = read_splits(recipe_of("fill-mask", train="a.txt", test_share=0), tmp_path)
    assert (len(splits.train), len(splits.validation), splits.test, splits.labeling.labels) == (9, 1, [], ())
    name = write_rows(tmp_path / "b.jsonl", "ab")
    splits = read_splits(recipe_of("fill-mask", train=name, validation=name, test=name), tmp_path)
    assert splits.test == ["text 0", "text 1"]


def test_a_sample_is_seeded_and_has_every_label_in_its_share():
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 9 + ["d"]  # sorted, as an exported table often is

    def labels_of(item):
        return (item[1],)

    items = list(enumerate(labels))
    found = sample(items, 20, 3, labels_of)
    assert found == sorted(found) == sample(items, 20, 3, labels_of) != sample(items, 20, 4, labels_of)
    counts = Counter(label for _, label in found)
    assert counts["d"] == 1
    assert abs(counts["a"] - 12) <= 1
    assert abs(counts["b"] - 6) <= 1
    assert sum(counts.values()) == 20
    for count in (1, 3, 4, 99):
        assert len(sample(items, count, 0, labels_of)) == count
        assert len({label for _, label in sample(items, count, 0, labels_of)}) == min(count, 4)
    assert sample(items, None, 0, labels_of) == sample(items, 100, 0, labels_of) == items


def test_max_samples_of_a_sorted_file_leaves_every_label_or_says_so(tmp_path):
    name = write_rows(tmp_path / "a.jsonl", ["a"] * 40 + ["b"] * 40 + ["c"] * 40)
    tree = {"name": "x", "task": "classification", "data": {"train": name, "validation": name, "test": name}}
    splits = read_splits(Recipe.model_validate(tree | {"training": {"max_samples": 12}}), tmp_path)
    assert [Counter(each.labels[0] for each in part) for part in (splits.train, splits.test)] == [
        {"a": 4, "b": 4, "c": 4}
    ] * 2
    with pytest.raises(
        DataError, match=r"a\.jsonl: training\.max_samples 2 leaves out 1 labels, such as 'c'; raise it"
    ):
        read_splits(Recipe.model_validate(tree | {"training": {"max_samples": 2}}), tmp_path)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [(f"t{i}", f"l{i}") for i in range(60)],
            "its 60 examples are too few to set some aside for test, as each label has",
        ),
        (
            [("same", "ab"[i % 2]) for i in range(60)],
            "too few to set some aside for test, as all have the same text; add",
        ),
    ],
)
def test_why_none_can_be_set_aside_is_said(tmp_path, rows, reason):
    lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=reason):
        read_splits(recipe_of(train="a.jsonl"), tmp_path)
