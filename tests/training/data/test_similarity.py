"""Pairs, triplets, scored pairs and texts alone, as files have them."""

from __future__ import annotations

import json

import pytest

from training.checking import check
from training.config import DataConfig, Recipe
from training.data import DataError
from training.data.similarity import SimilarityExample, in_halves, read_similarity, scale_of

ONE, OTHER, UNLIKE = "where is my parcel", "my order has not arrived", "how do I pay"


def read(tmp_path, rows, name="data.jsonl", **data):
    content = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / name).write_text(content, encoding="utf-8")
    return read_similarity(tmp_path / name, DataConfig(**data))


@pytest.mark.parametrize(
    "columns",
    [
        ("anchor", "positive"),
        ("query", "pos"),
        ("sentence1", "sentence2"),
        ("Sentence A", "Sentence B"),
        ("text", "text_pair"),
        ("question1", "question2"),
        ("query", "answer"),
        ("first_thing", "second_thing"),  # by content
    ],
    ids=" ".join,
)
def test_pairs_are_known_by_their_columns(columns, tmp_path):
    rows = [dict(zip(columns, pair, strict=True)) for pair in ((ONE, OTHER), (OTHER, UNLIKE))]
    assert read(tmp_path, rows) == [SimilarityExample(ONE, OTHER), SimilarityExample(OTHER, UNLIKE)]


def test_columns_that_count_rows_and_names_of_kinds_are_no_texts(tmp_path):
    rows = [{"id": i, "genre": "main", "left": f"{i} {ONE}", "right": f"{OTHER} {i}", "how": i / 2} for i in range(4)]
    assert read(tmp_path, rows)[3] == SimilarityExample(f"3 {ONE}", f"{OTHER} 3", score=1.5)


@pytest.mark.parametrize(
    "row",
    [
        {"anchor": ONE, "positive": OTHER, "negative": UNLIKE},
        {"anchor": ONE, "positive": OTHER, "negative_1": UNLIKE, "negative_2": ""},
        {"query": ONE, "pos": [OTHER], "neg": [UNLIKE]},
        {"a": ONE, "b": OTHER, "c": UNLIKE},
    ],
    ids=("triplet", "numbered", "lists", "content"),
)
def test_texts_that_are_not_similar_are_negatives(row, tmp_path):
    assert read(tmp_path, [row]) == [SimilarityExample(ONE, OTHER, (UNLIKE,))]


def test_each_positive_of_a_list_is_a_pair(tmp_path):
    assert [each.other for each in read(tmp_path, [{"query": ONE, "pos": [OTHER, UNLIKE]}])] == [OTHER, UNLIKE]
    assert read(tmp_path, [{"set": [ONE, OTHER]}]) == [SimilarityExample(ONE, OTHER)]


def test_scored_pairs_of_csv(tmp_path):
    content = f'sentence1,sentence2,score\n"{ONE}","{OTHER}",4.5\n"{ONE}","{UNLIKE}",0\n'
    assert [each.score for each in read(tmp_path, content, "data.csv")] == [4.5, 0.0]


def test_the_recipe_names_columns_that_nothing_else_does(tmp_path):
    rows = [{"x": "a", "y": "b", "z": i, "w": 1 - i} for i in range(2)]
    with pytest.raises(DataError, match="no pair of texts among the columns 'x', 'y', 'z', 'w'; call them anchor"):
        read(tmp_path, rows)
    named = {"text_column": "x", "text_pair_column": "y", "label_column": "w"}
    assert read(tmp_path, rows, **named)[0] == SimilarityExample("a", "b", score=1.0)


def test_texts_alone_of_a_plain_file_and_of_a_table(tmp_path):
    assert read(tmp_path, f"{ONE}\n\n{OTHER}\n", "data.txt") == [SimilarityExample(ONE), SimilarityExample(OTHER)]
    rows = [{"text": ONE, "label": "parcel"}, {"text": UNLIKE, "label": "payment"}]
    assert read(tmp_path, rows) == [SimilarityExample(ONE), SimilarityExample(UNLIKE)]


def test_texts_alone_are_scored_by_their_halves():
    assert in_halves([SimilarityExample("a b c d e f g"), SimilarityExample("a b")]) == [
        SimilarityExample("a b c", "d e f g")
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"anchor": ONE, "positive": ""}, ":2: 'positive' must be a text that is not empty"),
        ({"anchor": "", "positive": OTHER}, ":2: 'anchor' must be a text that is not empty"),
        ({"anchor": ONE, "positive": []}, ":2: 'positive' has no text; write one, or remove the row"),
    ],
    ids=("positive", "anchor", "list"),
)
def test_a_row_without_its_texts_is_refused_with_its_line(row, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, [{"anchor": ONE, "positive": OTHER}, row])


@pytest.mark.parametrize(
    ("score", "sentence"),
    [("neutral", "'label' is 'neutral', which is no score"), (None, "'label' is empty; give the row a score")],
    ids=("word", "empty"),
)
def test_a_score_that_is_none_is_refused(score, sentence, tmp_path):
    rows = [{"sentence1": ONE, "sentence2": OTHER, "label": each} for each in (1, score)]
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, rows)


def test_one_score_everywhere_teaches_nothing(tmp_path):
    rows = [{"sentence1": ONE, "sentence2": text, "score": 1} for text in (OTHER, UNLIKE)]
    with pytest.raises(DataError, match="every score is 1, so there is nothing to learn"):
        read(tmp_path, rows)


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        ((0.1, 0.9), (0, 1)),
        ((-0.5, 1.0), (-1, 1)),
        ((0.2, 4.8), (0, 5)),
        ((1, 5), (1, 5)),
        ((0, 80), (0, 100)),
        ((3, 250), (3, 250)),
        ((-2, 5), (-5, 5)),
    ],
)
def test_scores_are_on_the_narrowest_usual_scale(scores, scale):
    assert scale_of(scores) == scale


def test_check_says_what_is_odd_and_counts_each_text_by_itself(tmp_path, tiny_base):
    rows = [{"anchor": f"{ONE} {i * 7919}", "positive": f"{OTHER} {i * 104729}", "negative": UNLIKE} for i in range(30)]
    rows += [{"anchor": ONE, "positive": ONE.upper()}, {"anchor": OTHER, "positive": ONE, "negative": ONE}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tree = {"name": "x", "task": "embedding", "base": str(tiny_base), "data": {"train": "a.jsonl"}}
    found = {each.check: each for each in check(Recipe.model_validate(tree), tmp_path)}
    assert (found["same text"].severity, found["same text"].examples) == ("warning", ("a.jsonl:31",))
    assert found["negative"].examples == ("a.jsonl:32",)
    assert int(found["length"].summary.split("longest ")[1].split(";")[0]) < 60  # tokens of one text, not of a pair
    assert "error" not in {each.severity for each in found.values()}
