"""From files to files: what passes through stands as it did, and every format says the same."""

import gzip
import io
import json

import pytest

from app.bulk.errors import BulkError
from app.bulk.writing import Naming
from tests.app.builders import wordpiece_tokenizer
from tests.app.bulk.conftest import csv_rows, json_lines
from tests.support.embedding import write_embedding

CSV = 'id,text,n\r\n007,"a ""good"",\r\nplay",12345678901234567890123\r\n8,paris  ,\r\n9,,1.10\r\n10,a,b,c\r\n'


def test_a_csv_file_keeps_its_rows_as_they_stand(predict, tmp_path):
    (tmp_path / "in.csv").write_bytes(CSV.encode())
    assert predict("in.csv", "-o", "out.csv", "--top-k", "1") == 0
    written = (tmp_path / "out.csv").read_bytes().decode()
    lines = CSV.split("\r\n")
    assert written.startswith(f"{lines[0]},label,score,error\r\n{lines[1]}\r\n{lines[2]},")
    rows = csv_rows(tmp_path / "out.csv")
    assert [row["id"] for row in rows] == ["007", "8", "9", ""]
    assert [row["n"] for row in rows] == ["12345678901234567890123", "", "1.10", ""]
    assert [bool(row["label"]) for row in rows] == [True, True, False, False]
    assert rows[2]["error"] == "'text' is empty"
    assert rows[3]["text"] == "10,a,b,c"
    assert rows[3]["error"] == "in.csv:6: 4 cells under 3 column names"
    assert not (tmp_path / "out.csv.partial").exists()


def test_json_lines_keep_their_objects_as_they_stand(predict, tmp_path):
    kept = ['{"text":"a good play", "n":12345678901234567890123,"x":1.10}', '{ "text": "paris" }', "{}"]
    (tmp_path / "in.jsonl").write_text("\n".join([*kept, '{"text": "pa', '{"text": "\\ud800"}']))
    assert predict("in.jsonl", "-o", "out.jsonl.gz") == 0
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).decode().splitlines()
    assert all(line.startswith(raw[:-1].rstrip()) for line, raw in zip(lines, kept, strict=False))
    rows = json_lines(tmp_path / "out.jsonl.gz")
    assert rows[0]["labels"][0] == {"label": rows[0]["label"], "score": rows[0]["score"]}
    assert rows[0]["error"] is None
    assert rows[2]["error"] == "there is no 'text'"
    assert rows[3]["text"] == '{"text": "pa'
    assert "not valid JSON" in rows[3]["error"]
    assert rows[4]["label"] is None


def test_every_format_says_the_same(predict, tmp_path):
    texts = ["a good play", "paris is good", 'say "paris"', "tab\there", "line\nbreak"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in texts))
    found = {}
    for kind in ("csv", "tsv", "jsonl", "parquet"):
        assert predict("in.jsonl", "-o", f"a.{kind}") == 0
        if kind != "tsv":  # read line by line
            assert predict(f"a.{kind}", "-o", f"b.{kind}.jsonl", "--prefix", "p_") == 0
            found[kind] = json_lines(tmp_path / f"b.{kind}.jsonl")
    answers = [[(row["text"], row["p_label"], row["p_score"]) for row in rows] for rows in found.values()]
    assert answers[0] == answers[1] == answers[2]
    assert [text for text, _, _ in answers[0]] == texts
    assert found["csv"][0]["label"] == found["csv"][0]["p_label"]
    assert json.loads(found["csv"][0]["labels"]) == found["parquet"][0]["p_labels"]
    assert [row["text"] for row in csv_rows(tmp_path / "a.tsv", "\t")] == texts


def test_numbers_of_json_lines_are_cells_as_they_are_written(predict, tmp_path):
    values = '"n": 12345678901234567890123, "x": 1.10, "yes": true, "none": null, "many": [1, "a"]'
    (tmp_path / "in.jsonl").write_text(f'{{"text": "a", {values}}}\n{{"text": "b", "late": 1}}\n')
    assert predict("in.jsonl", "-o", "out.csv", "--top-k", "1") == 0
    first, second = csv_rows(tmp_path / "out.csv")
    assert [first[name] for name in ("n", "x", "yes", "none", "many")] == [
        *("12345678901234567890123", "1.10", "true", "", '[1,"a"]')
    ]
    assert second["text"] == "b"
    assert "'late'" in second["error"]


def test_parquet_keeps_columns_and_types(predict, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table(
        {
            "text": ["a good play", None, "paris"] * 1000,
            "n": pa.array([1, None, 2**60] * 1000, pa.int64()),
            "kind": pa.array(["x", "y", None] * 1000).dictionary_encode(),
            "list": pa.array([[1], [], None] * 1000, pa.list_(pa.int8())),
        }
    ).replace_schema_metadata({"made": "by hand"})
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=700)
    assert predict("in.parquet", "-o", "out.parquet") == 0
    written = parquet.read_table(tmp_path / "out.parquet")
    assert written.select(table.column_names).to_pylist() == table.to_pylist()
    assert written.schema.field("kind").type == table.schema.field("kind").type
    assert written.schema.metadata[b"made"] == b"by hand"
    assert written["error"].to_pylist()[:3] == [None, "'text' is empty", None]
    assert written["labels"].to_pylist()[0][0].keys() == {"label", "score"}
    assert predict("in.parquet", "-o", "out.csv", "--top-k", "1") == 0
    rows = csv_rows(tmp_path / "out.csv")
    assert [rows[0][name] for name in table.column_names] == ["a good play", "1", "x", "[1]"]


def test_several_files_are_one_output(predict, tmp_path):
    (tmp_path / "a.csv").write_text("text,id\ngood,1\nplay,2")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"text,id\nparis,3\n"))
    assert predict("a.csv", "b.csv.gz", "-o", "out.csv") == 0
    assert [row["id"] for row in csv_rows(tmp_path / "out.csv")] == ["1", "2", "3"]
    (tmp_path / "c.csv").write_text("text,other\n")
    assert predict("a.csv", "c.csv", "-o", "out.csv") == 1


def test_pairs_are_two_columns(predict, tmp_path, capsys):
    (tmp_path / "in.tsv").write_text("left\tright\na\tgood\nplay\t\n")
    assert predict("in.tsv", "-o", "out.jsonl", "--text-column", "left", "--pair-column", "right") == 0
    first, second = json_lines(tmp_path / "out.jsonl")
    assert first["label"]
    assert second["error"] == "'right' is empty"


def test_questions_with_contexts_are_two_columns(predict, tiny_reader_models, tmp_path, capsys):
    reader = {"model": "tiny-reader", "models": tiny_reader_models}
    (tmp_path / "in.csv").write_text("id,context,question\n1,Ada met Bob .,Who met Bob ?\n2,,Who ?\n3,a film,\n")
    assert predict("in.csv", "-o", "out.csv", "--max-answer-len", "1", **reader) == 0
    first, *others = csv_rows(tmp_path / "out.csv")
    assert first["answer"] == "Ada met Bob ."[int(first["start"]) : int(first["end"])] != ""
    assert [row["error"] for row in others] == ["'context' is empty", "'question' is empty"]
    assert predict("in.csv", "-o", "out.jsonl", "--top-k", "2", **reader) == 0
    answers = json_lines(tmp_path / "out.jsonl")[0]["answers"]
    assert len(answers) == 2
    assert answers[0]["answer"] in "Ada met Bob ."
    (tmp_path / "named.csv").write_text("q,c\nWho met Bob ?,Ada met Bob .\n")
    named = ("--text-column", "q", "--pair-column", "c")
    assert predict("named.csv", "-o", "named.jsonl", *named, **reader) == 0
    assert predict("named.csv", "-o", "other.jsonl", **reader) == 1
    assert "there is no column 'question' but 'q', 'c'; choose one with --text-column" in capsys.readouterr().err


def test_standard_input_and_output(predict, monkeypatch, capfdbinary):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a good play\n\nparis\n")))
    assert predict("-", "--top-k", "1") == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [row["error"] for row in rows] == [None, "'text' is empty", None]


def test_excel_s_mark_and_semicolons_stay(predict, tmp_path):
    (tmp_path / "in.csv").write_bytes('\ufefftext;n\r\n"good; play";1,5\r\n'.encode())
    assert predict("in.csv", "-o", "out.csv", "--top-k", "1") == 0
    written = (tmp_path / "out.csv").read_bytes().decode()
    assert written.startswith('\ufefftext;n;label;score;error\r\n"good; play";1,5;')


@pytest.mark.parametrize(("separator", "sign"), [((), ","), (("--separator", ";"), ";")], ids=["usual", "given"])
def test_csv_that_is_made_of_another_format_has_commas_or_what_is_given(separator, sign, predict, tmp_path):
    (tmp_path / "in.tsv").write_text("text\tid\ngood, play\t1\n")
    assert predict("in.tsv", "-o", "out.csv", *separator) == 0
    assert (tmp_path / "out.csv").read_text().startswith(sign.join(("text", "id", "label", "score")))
    assert csv_rows(tmp_path / "out.csv", sign)[0]["text"] == "good, play"


def test_names_that_are_taken_get_a_prefix():
    answers = {"label": str, "score": float}
    assert Naming(answers, ["text"], None).names == ("label", "score", "error")
    assert Naming(answers, ["text", "label"], None).names == ("predicted_label", "predicted_score", "predicted_error")
    assert Naming(answers, ["text"], "my_").names == ("my_label", "my_score", "my_error")
    with pytest.raises(BulkError, match="a column 'my_label' already"):
        Naming(answers, ["text", "my_label"], "my_")


def test_a_later_row_with_the_name_of_an_answer_keeps_its_own(predict, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": "b", "label": "mine"}\n')
    assert predict("in.jsonl", "-o", "out.jsonl", "--top-k", "1") == 0
    row = json_lines(tmp_path / "out.jsonl")[1]
    assert row["label"] == "mine"
    assert "--prefix" in row["error"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.csv", "-o", "o.csv"], "none.csv: there is no such file"),
        (["in.csv", "-o", "in.csv"], "is input and output"),
        (["in.csv", "-o", "away/o.csv"], "there is no folder away"),
        (["in.csv", "-o", "o.xls"], "--output-format"),
        (["in.xls", "-o", "o.csv"], "--input-format"),
        (["in.csv", "-o", "o.txt"], "plain lines have no place"),
        (["in.csv", "-o", "o.csv", "--text-column", "txt"], "no column 'txt' but 'text', 'id'"),
        (["in.csv", "--output-format", "parquet"], "name a file with -o"),
        (["in.csv", "-o", "o.csv", "--encoding", "utf-16"], "--encoding utf-16"),
        (["in.csv", "-o", "o.csv", "--separator", "||"], "--separator '||': give one sign"),
        (["in.csv", "-o", "o.parquet.gz"], "compressed inside"),
        (["in.csv", "in.jsonl", "-o", "o.csv"], "one format at a time"),
        (["bad.parquet", "-o", "o.csv"], "not valid Parquet"),
        (["bad.csv.gz", "-o", "o.csv"], "it is not gzip"),
    ],
    ids=lambda value: None if isinstance(value, list) else value,
)
def test_what_cannot_be_done_is_said_in_a_sentence(predict, tmp_path, capsys, arguments, sentence):
    (tmp_path / "in.csv").write_text("text,id\ngood,1\n")
    for name in ("in.xls", "in.jsonl", "bad.parquet", "bad.csv.gz"):
        (tmp_path / name).write_text("{}")
    assert predict(*arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_file_without_any_answer_is_a_failure(predict, tmp_path, capsys):
    (tmp_path / "in.csv").write_text("text,id\n,1\n,2\n")
    assert predict("in.csv", "-o", "out.csv") == 1
    assert "no row could be answered" in capsys.readouterr().err
    assert (tmp_path / "out.csv").exists()


def test_parquet_needs_its_extra(predict, tmp_path, monkeypatch, capsys):
    (tmp_path / "in.csv").write_text("text\ngood\n")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert predict("in.csv", "-o", "out.parquet") == 1
    assert "pip install -e '.[parquet]'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_vectors_are_a_column(kind, predict, tmp_path):
    write_embedding(tmp_path / "models", wordpiece_tokenizer())
    (tmp_path / "in.jsonl").write_text('{"text": "a good play"}\n{"text": ""}\n')
    flags = ("--dimensions", "4", "--normalize", "true")
    assert predict("in.jsonl", "-o", f"a.{kind}", *flags, model="toy-embed", models=tmp_path / "models") == 0
    if kind == "csv":
        cells = [row["embedding"] for row in csv_rows(tmp_path / "a.csv")]
        vectors = [json.loads(cell) if cell else None for cell in cells]
    elif kind == "jsonl":
        vectors = [row["embedding"] for row in json_lines(tmp_path / "a.jsonl")]
    else:
        vectors = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "a.parquet")["embedding"].to_pylist()
    assert vectors[1] is None
    assert len(vectors[0]) == 4
    assert sum(number**2 for number in vectors[0]) == pytest.approx(1, abs=1e-6)
    assert all(len(str(number)) < 14 for number in vectors[0])
