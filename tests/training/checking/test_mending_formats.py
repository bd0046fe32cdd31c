"""`check --fix` of every format that is read: what is left out, that all else stays, and that it is read as before."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from training.checking.mending import LEFT_OUT, check_again, mend
from training.checking.reading import read_parts
from training.config import Recipe, load_recipe


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


TEXTS = [{"text": "a", "label": "x", "id": 1}, {"text": "", "label": "y"}, {"text": "b", "label": "y"}]
TEXTS = [*TEXTS, TEXTS[0], {"text": "in test", "label": "x"}]
SENTENCES = "# text = Ada\nAda\tNNP\tB-PER\nmet\tVBD\tO\n\n-DOCSTART- -X- O\n\nBob\tNNP\tB-PER\n\nbroken\n\n"
SPANS = [
    {"id": 7, "text": "Ada met Bob", "label": [[0, 3, "PER"], [8, 11, "PER"]], "Comments": ["kept"]},
    {"id": 8, "text": "Ada", "label": [[0, 30, "PER"]]},
    {"id": 9, "text": "Bob 😀", "label": [[0, 3, "PER"]]},
]
STUDIO = [
    {
        "id": number,
        "data": {"text": text},
        "annotations": [{"result": [{"value": {"start": 0, "end": end, "labels": ["PER"]}}]}] if end else [],
        "meta": {"kept": True},
    }
    for number, (text, end) in enumerate([("Ada", 3), ("Bob", 30), ("not annotated", 0), ("Ada", 3), ("Eve", 3)])
]


def spacy(text, *tags):
    tokens = [{"orth": word, "ner": tag} for word, tag in zip(text.split(), tags, strict=True)]
    return {"raw": text, "sentences": [{"tokens": tokens}]}


SPACY = [{"id": 0, "paragraphs": [spacy("Ada met", "U-PER", "O"), spacy("Bob", "U-PER")]}]
SPACY += [{"id": 1, "paragraphs": [spacy("Bob", "U-PER"), spacy("Eve", "U-PER")]}]
WORDS = "Sentence #,Word,Tag\n1,Ada,B-PER\n,met,O\n2,Bob,B-PER\n3,Ada,B-PER\n,met,O\n4,,O\n5,Eve,B-PER\n"
QUESTIONS = {
    "version": "1.1",
    "data": [
        {
            "title": "kept",
            "paragraphs": [
                {
                    "context": "Ada met Bob",
                    "qas": [
                        {"id": "1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]},
                        {"id": "2: odd", "question": "Whom?", "answers": [{"text": "Bob", "answer_start": 1}]},
                        {"id": "3", "question": "Why?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}
CLASSES, ENTITIES = "text-classification", "token-classification"
# File, content, task, what is written, how many of its examples stay, and how many pieces are left out.
FORMATS = {
    "json lines": ("train.jsonl", lines(TEXTS), CLASSES, "train.jsonl", 2, 3),
    "a line that is not json": ("train.jsonl", lines(TEXTS[:1]) + "{\n", CLASSES, "train.jsonl", 1, 1),
    "a json array": ("train.json", json.dumps(TEXTS, indent=1), CLASSES, "train.jsonl", 2, 3),
    "separated by semicolons": (
        "train.csv",
        "text;label\na, b;x\n;y\nc;y\n".encode("utf-16"),
        CLASSES,
        "train.csv",
        2,
        1,
    ),
    "separated by tabs": ("train.tsv", 'text\tlabel\na "quoted" one\tx\n\ty\nc, d\ty\n', CLASSES, "train.tsv", 2, 1),
    "western": ("train.csv", "text,label\ncafé,x\ncafé,x\nthé,y\n".encode("cp1252"), CLASSES, "train.csv", 2, 1),
    "parquet": ("train.parquet", TEXTS, CLASSES, "train.jsonl", 2, 3),
    "conll": ("train.conll", SENTENCES + SENTENCES.partition("\n\n")[0] + "\n\n", ENTITIES, "train.conll", 2, 2),
    "conll in a text file": ("train.txt", SENTENCES, ENTITIES, "train.txt", 2, 1),
    "a word in each row": ("train.csv", WORDS, ENTITIES, "train.csv", 3, 2),
    "doccano": ("train.jsonl", lines([*SPANS, SPANS[0]]), ENTITIES, "train.jsonl", 2, 2),
    "label studio": ("train.json", json.dumps(STUDIO), ENTITIES, "train.jsonl", 2, 2),
    "several texts in a row": ("train.json", json.dumps(SPACY), ENTITIES, "train.jsonl", 3, 1),
    "squad": ("train.json", json.dumps(QUESTIONS), "question-answering", "train.jsonl", 2, 1),
    "documents": ("train.txt", "one\n\ntwo\none\n", "fill-mask", "train.txt", 2, 1),
    "pairs": ("train.csv", "text,positive\na,b\na,b\nc,d\n", "feature-extraction", "train.csv", 2, 1),
    "lists of alike texts": (
        "train.jsonl",
        lines([{"texts": ["a", "b", "c"]}] * 2),
        "feature-extraction",
        "train.jsonl",
        2,
        1,
    ),
}


def write(file, content):
    if isinstance(content, list):
        parquet.write_table(pa.Table.from_pylist(content), file)
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content, encoding="utf-8")


def told(item):
    return item.text, item.text_pair, item.others, item.labels, item.answer


@pytest.mark.parametrize(("name", "content", "task", "written", "stays", "left"), FORMATS.values(), ids=FORMATS)
def test_every_format_is_mended_and_read_as_before(name, content, task, written, stays, left, tmp_path):
    write(tmp_path / name, content)
    (tmp_path / "test.jsonl").write_text(lines([{"text": "in test", "label": "x"}]))
    test = {"data.test": "test.jsonl"} if task == CLASSES else {}
    given = {"task": task, "name": "n", "data.train": name}
    recipe = load_recipe(Recipe, None, given | test)
    before = read_parts(recipe, tmp_path)[0]
    mended, *_ = mend(recipe, tmp_path, tmp_path / "mended")

    assert mended.file.name == written
    after = read_parts(load_recipe(Recipe, None, given | {"data.train": written}), tmp_path / "mended")[0]
    assert after.refused == []
    assert [told(item) for item in after.items] == list(
        dict.fromkeys(told(item) for item in before.items if item.text != "in test")
    )
    assert len(after.items) == stays
    out = [json.loads(line) for line in (tmp_path / "mended" / LEFT_OUT).read_text(encoding="utf-8").splitlines()]
    assert len([each for each in out if each["split"] == "train"]) == left == len(mended.left_out)
    assert all(each["content"] is not None and each["where"].startswith(str(tmp_path / name)) for each in out)
    assert f"{LEFT_OUT}" in str(mended)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("doccano", ['"Comments": ["kept"]']),
        ("label studio", ['"meta": {"kept": true}', '"text": "not annotated"']),
        ("squad", ['"title": "kept"', '"is_impossible": true', '"id": "3"']),
        ("conll", ["# text = Ada", "NNP", "-DOCSTART- -X- O"]),
        ("json lines", ['"id": 1']),
    ],
)
def test_what_training_does_not_read_stays(name, kept, tmp_path):
    file, content, task, written, *_ = FORMATS[name]
    write(tmp_path / file, content)
    recipe = load_recipe(Recipe, None, {"task": task, "name": "n", "data.train": file})
    mend(recipe, tmp_path, tmp_path / "mended")
    text = (tmp_path / "mended" / written).read_text(encoding="utf-8")
    for each in kept:
        assert each in text


def test_the_command_that_checks_again_reads_as_the_recipe_does(tmp_path):
    (tmp_path / "d.csv").write_bytes("body|kind\ncafé|x\ncafé|x\nthé|y\n".encode("cp1252"))
    given = {"data.train": "d.csv", "data.text_column": "body", "data.label_column": "kind", "data.encoding": "cp1252"}
    recipe = load_recipe(
        Recipe, None, given | {"task": CLASSES, "name": "n", "data.delimiter": "|", "data.format": "csv"}
    )
    mended = mend(recipe, tmp_path, tmp_path / "mended")
    assert check_again(recipe, mended, tmp_path / "mended") == (
        f"roberta-train check --task {CLASSES} --train train.csv --data {tmp_path / 'mended'} --set data.format=csv "
        "--set 'data.delimiter=|' --set data.encoding=cp1252 --set data.text_column=body --set data.label_column=kind"
    )
    again = load_recipe(
        Recipe,
        None,
        given | {"task": CLASSES, "name": "n", "data.train": "train.csv"},
    )
    assert [item.text for item in read_parts(again, tmp_path / "mended")[0].items] == ["café", "thé"]


def test_a_file_that_cannot_be_read_at_all_says_why_and_writes_nothing(tmp_path):
    (tmp_path / "train.csv").write_text("a film,pos\nbad film,neg\na film,pos\n")
    recipe = load_recipe(Recipe, None, {"task": CLASSES, "name": "n", "data.train": "train.csv"})
    with pytest.raises(ValueError, match="the header is missing"):
        mend(recipe, tmp_path, tmp_path / "mended")
    assert not (tmp_path / "mended").exists()


def test_an_item_of_an_array_that_is_no_row_is_left_out_as_it_stands(tmp_path):
    rows = [{"text": "a", "label": "x"}, 5, {"text": "b", "label": "y"}, {"text": "\ud800", "label": "y"}]
    (tmp_path / "train.json").write_text(json.dumps(rows, indent=1))
    recipe = load_recipe(Recipe, None, {"task": CLASSES, "name": "n", "data.train": "train.json"})
    mend(recipe, tmp_path, tmp_path / "mended")
    left = [json.loads(line) for line in (tmp_path / "mended" / LEFT_OUT).read_text().splitlines()]
    assert [each["content"] for each in left] == ["5", json.dumps(rows[3])]


def test_json_has_characters_that_its_encoding_has_not(tmp_path):
    rows = [{"text": "5 €", "label": "x"}, {"text": "b", "label": "y"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"task": CLASSES, "name": "n", "data.train": "train.jsonl", "data.encoding": "latin-1"}
    recipe = load_recipe(Recipe, None, given)
    mend(recipe, tmp_path, tmp_path / "mended")
    assert [item.text for item in read_parts(recipe, tmp_path / "mended")[0].items] == ["5 €", "b"]


def test_of_several_texts_in_a_row_the_classes_stay_where_these_are_trained_on(tmp_path):
    texts = [spacy("Ada met", "U-PER", "O") | {"cats": {"x": 1.0}}, spacy("Bob", "U-PER") | {"cats": {"y": 1.0}}]
    rows = [
        {"id": 0, "paragraphs": texts},
        {"id": 1, "paragraphs": [texts[1], spacy("Eve", "O") | {"cats": {"x": 1.0}}]},
    ]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    given = {"task": CLASSES, "name": "n"}
    mend(load_recipe(Recipe, None, given | {"data.train": "train.json"}), tmp_path, tmp_path / "mended")
    again = load_recipe(Recipe, None, given | {"data.train": "train.jsonl"})
    assert [(each.text, each.labels) for each in read_parts(again, tmp_path / "mended")[0].items] == [
        ("Ada met", ("x",)),
        ("Bob", ("y",)),
        ("Eve", ("x",)),
    ]
