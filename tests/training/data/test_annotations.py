"""Exports of annotation tools, spans and choices: each says the same as a file that was written by hand."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from training.config import DataConfig
from training.data import DataError, find_problem_type, labeled_texts, read_classification, read_ner
from training.data.annotations import TOOLS, tool_of
from training.data.formats import Row
from training.data.spans import is_torn

TEXT = "Ada Byron met Bob in São Paulo."
SPANS = [[0, 9, "PER"], [14, 17, "PER"], [21, 30, "LOC"]]
EXPECTED = [("Ada Byron", "PER"), ("Bob", "PER"), ("São Paulo", "LOC")]
OBJECTS = [{"start": start, "end": end, "label": kind} for start, end, kind in SPANS]
QUOTING = [{"start": s, "end": e, "text": TEXT[s:e], "labels": [kind]} for s, e, kind in SPANS]
TASK = {"created_at": "2024-01-01", "data": {"text": TEXT}, "id": 1}
CANCELLED = {"id": 8, "was_cancelled": True, "result": []}
RESULT = [{"from_name": "label", "to_name": "text", "type": "labels", "value": value} for value in QUOTING]
RELATION = {"type": "relation", "from_id": "a", "to_id": "b"}
TOKENS = [
    {"orth": orth, "ner": ner}
    for orth, ner in zip(
        ["Ada", "Byron", "met", "Bob", "in", "São", "Paulo", "."],
        ["B-PER", "L-PER", "O", "U-PER", "O", "B-LOC", "L-LOC", "O"],
        strict=True,
    )
]
ANNOTATION = {"annotation_id": 3, "annotator": 1, "id": 1, "lead_time": 2.5, "created_at": "2024"}

SPAN_EXPORTS = {
    "doccano": {"id": 1, "text": TEXT, "label": SPANS, "Comments": []},
    "doccano 1.0": {"id": 1, "text": TEXT, "labels": SPANS, "meta": {}},
    "doccano with relations": {
        "id": 1,
        "text": TEXT,
        "entities": [{"id": 4, "label": kind, "start_offset": s, "end_offset": e} for s, e, kind in SPANS],
        "relations": [],
    },
    "Label Studio": TASK | {"annotations": [CANCELLED, {"id": 9, "result": [*RESULT, RELATION]}], "predictions": []},
    "Label Studio 0.x": TASK | {"completions": [{"id": 9, "result": RESULT}]},
    "Label Studio JSON-MIN": ANNOTATION | {"text": TEXT, "label": QUOTING},
    "Label Studio CSV": ANNOTATION | {"text": TEXT, "label": json.dumps(QUOTING)},
    "Argilla 2": {
        "id": "1",
        "fields": {"text": TEXT},
        "metadata": {},
        "suggestions": {"span": {"value": [], "score": None, "agent": None}},
        "responses": {"span": [{"value": OBJECTS, "user_id": "u"}]},
    },
    "Argilla 2 flat": {
        "id": "1",
        "_server_id": "s",
        "status": "completed",
        "text": TEXT,
        "span.responses": [[], OBJECTS],
        "span.responses.users": ["v", "u"],
        "span.responses.status": ["discarded", "submitted"],
    },
    "Argilla 1 feedback": {
        "text": TEXT,
        "span": [{"user_id": "u", "value": OBJECTS, "status": "submitted"}],
        "span-suggestion": None,
        "external_id": None,
    },
    "Argilla 1": {
        "text": TEXT,
        "tokens": TEXT.split(),
        "prediction": None,
        "annotation": [[kind, start, end] for start, end, kind in SPANS],
        "annotation_agent": "argilla",
        "status": "Validated",
    },
    "Prodigy": {
        "text": TEXT,
        "_input_hash": 1,
        "tokens": [{"text": "Ada", "start": 0, "end": 3, "id": 0}],
        "spans": [each | {"token_start": 0, "token_end": 1} for each in OBJECTS],
        "answer": "accept",
    },
    "spaCy Doc": {"text": TEXT, "ents": OBJECTS, "sents": [{"start": 0, "end": 31}], "tokens": [{"id": 0, "start": 0}]},
    "spaCy 2 pair": [TEXT, {"entities": SPANS}],
    "spaCy 2": {"id": 0, "paragraphs": [{"raw": TEXT, "sentences": [{"tokens": TOKENS, "brackets": []}]}]},
}


def write(path, rows):
    """Write rows as lines, or as one array in a .json file."""
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def entities(path, **data):
    return [
        [(each.text[s:e], kind) for s, e, kind in each.spans] for each in read_ner(path, None, data=DataConfig(**data))
    ]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
@pytest.mark.parametrize("export", SPAN_EXPORTS)
def test_spans_of_every_tool_train_as_entities(tmp_path, export, name):
    path = write(tmp_path / name, [SPAN_EXPORTS[export]] * 2)
    assert entities(path) == [EXPECTED] * 2
    [example, _] = read_ner(path, "spaced", data=DataConfig())
    assert example.text == TEXT  # as it was annotated, not rendered from words
    words = [TEXT[start:end] for start, end in example.word_offsets]
    assert words == ["Ada", "Byron", "met", "Bob", "in", "São", "Paulo", "."]
    assert example.tags == ("B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "O")
    with pytest.raises(DataError, match=r":1: holds marked spans, no label of the text; train it with --task ner"):
        read_classification(path, DataConfig())


def test_whole_files_of_other_shapes(tmp_path):
    pair = [TEXT, {"entities": SPANS}]
    (tmp_path / "a.json").write_text(json.dumps({"classes": ["PER"], "annotations": [pair, None, pair]}))
    assert entities(tmp_path / "a.json") == [EXPECTED] * 2
    table = {"text": [TEXT], "label": [json.dumps(QUOTING)]} | {key: [value] for key, value in ANNOTATION.items()}
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    assert entities(tmp_path / "a.parquet") == [EXPECTED]
    (tmp_path / "a.conll").write_text("-DOCSTART- -X- O O\nAda -X- _ B-PER\nran -X- _ O\n\n")  # Label Studio's
    assert entities(tmp_path / "a.conll") == [[("Ada", "PER")]]


def test_a_text_without_spans_is_one(tmp_path):
    rows = [{"text": TEXT, "label": SPANS}, {"text": "nothing here", "label": []}]
    assert entities(write(tmp_path / "a.jsonl", rows)) == [EXPECTED, []]


def choice(value):
    return {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [value]}}


LABELS = ["pos", "neg", "pos"]
CHOICE_EXPORTS = {
    "doccano": lambda label: {"id": 1, "text": "t", "label": [label], "Comments": []},
    "Label Studio": lambda label: TASK | {"annotations": [{"id": 9, "result": [choice(label)]}]},
    "Label Studio JSON-MIN": lambda label: ANNOTATION | {"text": "t", "sentiment": label},
    "Label Studio CSV": lambda label: ANNOTATION | {"text": "t", "sentiment": json.dumps({"choices": [label]})},
    "Argilla 2": lambda label: {"fields": {"text": "t"}, "responses": {"q": [{"value": label}, {"value": label}]}},
    "Argilla 2 flat": lambda label: {"text": "t", "q.responses": [label], "q.responses.status": ["submitted"]},
    "Argilla 1 feedback": lambda label: {
        "text": "t",
        "q": {"user_id": ["a", "b"], "value": ["other", label], "status": ["draft", "submitted"]},
        "q-suggestion": "other",
    },
    "Argilla 1 responses": lambda label: {
        "fields": {"text": "t"},
        "responses": [{"status": "submitted", "values": {"q": {"value": label}}}],
    },
    "Argilla 1": lambda label: {"text": "t", "inputs": {"text": "t"}, "annotation": label, "prediction": [["x", 0.9]]},
    "Prodigy options": lambda label: {"text": "t", "options": [{"id": label}], "accept": [label], "answer": "accept"},
    "Prodigy": lambda label: {"text": "t", "label": label, "answer": "accept", "_task_hash": 3},
    "spaCy": lambda label: {
        "text": "t",
        "cats": {"pos": float(label == "pos"), "neg": float(label == "neg")},
        "ents": [],
    },
    "spaCy 2": lambda label: {"paragraphs": [{"raw": "t", "cats": [{"label": label, "value": 1.0}], "sentences": []}]},
}


@pytest.mark.parametrize("export", CHOICE_EXPORTS)
def test_choices_of_every_tool_train_as_classes(tmp_path, export):
    path = write(tmp_path / "a.json", [CHOICE_EXPORTS[export](label) for label in LABELS])
    found = labeled_texts(path, DataConfig())
    assert find_problem_type([each.label for each in found], None)[0] == "single_label_classification"
    assert [each.labels for each in read_classification(path, DataConfig())] == [(label,) for label in LABELS]
    if export.startswith(("Argilla", "Prodigy")):  # others may hold texts without spans
        with pytest.raises(DataError, match=r":1: holds labels of whole texts, no spans; train it as a classification"):
            read_ner(write(tmp_path / "b.json", [CHOICE_EXPORTS[export]("pos")]), None, data=DataConfig())


def test_a_column_called_as_a_verdict_may_be_the_label(tmp_path):
    rows = [{"text": "t", "answer": answer, "label": "x"} for answer in ("accept", "reject")]
    path = write(tmp_path / "a.jsonl", rows)
    assert len(labeled_texts(path, DataConfig())) == 1
    assert [each.label for each in labeled_texts(path, DataConfig(label_column="answer"))] == ["accept", "reject"]


def test_what_was_skipped_is_left_out_and_said(tmp_path, caplog):
    caplog.set_level("INFO")
    rows = [{"text": "t", "label": "x", "answer": answer} for answer in ("accept", "reject", "ignore")]
    assert len(labeled_texts(write(tmp_path / "a.jsonl", rows), DataConfig())) == 1
    assert "2 rows that were not annotated, or were refused, in Prodigy are left out" in caplog.text
    caplog.clear()
    rows = [{"text": TEXT, "spans": OBJECTS, "answer": answer} for answer in ("accept", "reject")]
    assert entities(write(tmp_path / "c.jsonl", rows)) == [EXPECTED]
    assert "1 rows that were not annotated, or were refused, in Prodigy are left out" in caplog.text
    unfinished = [TASK | {"annotations": []}, TASK | {"annotations": [CANCELLED]}]
    assert labeled_texts(write(tmp_path / "b.json", unfinished), DataConfig()) == []


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (
            [[0, 99, "PER"]],
            r"a\.jsonl:2: the span 0\.\.99 'PER' is not in the text of 31 characters; correct its offsets",
        ),
        ([[-1, 3, "PER"]], r"the span -1\.\.3 'PER' is not in the text"),
        ([[3, 3, "PER"]], r"the span 3\.\.3 'PER' is not in the text"),
        ([[3, 4, "PER"]], r"the span 3\.\.4 'PER' covers white space alone"),
        ([[0, 9, "PER"], [4, 13, "ORG"]], r"the spans 'Ada Byron' 'PER' and 'Byron met' 'ORG' lie over each other"),
        ([[0, 9, " "]], r"the span 0\.\.9 has no type; give it one"),
        (
            [{"start": 0, "end": 3, "label": "PER", "text": "Bob"}],
            r"a\.jsonl:2: the span 0\.\.3 'PER' should be 'Bob', but 'Ada' stands there; correct its offsets",
        ),
    ],
)
def test_a_span_that_is_not_in_its_text_is_named(tmp_path, marks, message):
    path = write(tmp_path / "a.jsonl", [{"text": TEXT, "label": SPANS}, {"text": TEXT, "label": marks}])
    with pytest.raises(DataError, match=message):
        entities(path)


def test_white_space_at_the_ends_of_a_span_is_left_out(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"text": TEXT, "label": [[0, 10, "PER"], [0, 10, "PER"], [13, 18, " PER"]]}])
    assert entities(path) == [[("Ada Byron", "PER"), ("Bob", "PER")]]


def test_offsets_in_utf16_units_are_understood_where_the_quotation_shows_them(tmp_path):
    text = "\U0001f600 Ada met \U0001f600 Bob"
    spans = [
        {"start": 3, "end": 6, "text": "Ada", "labels": ["PER"]},
        {"start": 14, "end": 17, "text": "Bob", "labels": ["PER"]},
    ]
    result = [{"type": "labels", "value": value} for value in spans]
    path = write(tmp_path / "a.json", [{"data": {"text": text}, "annotations": [{"result": result}]}])
    assert entities(path) == [[("Ada", "PER"), ("Bob", "PER")]]


def test_spans_within_words_are_seen():
    assert is_torn("Adana", 0, 3)
    assert is_torn("SanFran", 3, 7)
    assert not is_torn("Ada ran", 0, 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"annotations": [{"label": 3, "start_offset": 0, "end_offset": 3}], "text": "Ada"},
            r"doccano .* as JSONL with",
        ),
        (TASK | {"annotations": [{"id": 1}]}, r"not as Label Studio exports it: an annotation has no list `result`"),
        (
            TASK | {"annotations": [{"result": RESULT}], "data": {"a": "x", "b": "y"}},
            r"no text 'text'; found 'a', 'b': set",
        ),
        (
            {"text": "t", "answer": "accept", "spans": [{"start": 1}]},
            r"Prodigy .*: a span needs a start, an end and a type",
        ),
        (
            {"fields": {"text": "t"}, "responses": {"a": [{"value": 1}], "b": [{"value": 1}]}},
            r"several questions, 'a', 'b'",
        ),
    ],
)
def test_a_malformed_export_is_one_sentence(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        entities(write(tmp_path / "a.json", [row]))


def test_a_tool_is_one_module_and_knows_only_its_own_rows():
    assert [tool.is_general for tool in TOOLS.values()].count(True) == 1
    for row in ({"text": "t", "label": "x"}, {"text": "t", "labels": ["a"]}, {"tokens": ["a"], "ner_tags": ["O"]}, {}):
        assert tool_of(Row("a:1", row)) is None
