"""Records of text files: cells as they stand, places to go on from, and what is wrong with those that are not."""

import io
from pathlib import Path

import pytest

from app.bulk.errors import BulkError
from app.bulk.lines import Lines
from app.bulk.records import open_records


def records_of(kind, content, delimiter="", encoding="utf-8"):
    return open_records(kind, Lines(Path("a.x"), io.BytesIO(content), encoding), delimiter)


def read(kind, content, **how):
    """Return (raw, values, problem) of every record."""
    return [(record.raw, record.values, record.problem) for record in records_of(kind, content, **how)]


def test_csv_stands_as_it_was_written():
    rows = read("csv", b'id,text\r\n007,"a ""b"",\r\nc"\r\n\r\n8,plain\n9,')
    assert [raw for raw, _, _ in rows] == ['007,"a ""b"",\r\nc"', "8,plain", "9,"]
    assert [values["text"] for _, values, _ in rows] == ['a "b",\r\nc', "plain", ""]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_first_line(delimiter):
    ((_, values, problem),) = read("csv", f'"te,xt"{delimiter}b{delimiter}c\n1{delimiter}2{delimiter}3'.encode())
    assert list(values.values()) == ["1", "2", "3"]
    assert problem is None


def test_a_single_column_has_no_delimiter_but_the_one_that_is_given():
    assert read("csv", b"text\na;b\n")[0][1] == {"text": "a;b"}
    assert read("csv", b"text\na\n", delimiter=";")[0][1] == {"text": "a"}


def test_a_quotation_mark_that_is_not_closed_costs_its_own_line():
    rows = read("csv", b'id,text\n1,"open\n2,good\n3,"a"b\n4,last\n')
    assert [raw for raw, _, _ in rows] == ['1,"open', "2,good", '3,"a"b', "4,last"]
    assert [values is None for _, values, _ in rows] == [True, False, True, False]
    assert "not valid CSV" in rows[0][2]


def test_a_long_record_is_given_up_on(monkeypatch):
    monkeypatch.setattr("app.bulk.records.MOST_RECORD_BYTES", 100)
    rows = read("csv", b'text\n"open\n' + b"good film\n" * 50)
    assert len(rows) == 51
    assert [problem is None for _, _, problem in rows] == [False, *[True] * 50]


def test_cells_are_counted():
    (one, two) = read("csv", b"id,text\n1,a,b\n2\n")
    assert one == ("1,a,b", None, "3 cells under 2 column names")
    assert two == ("2", None, "1 cells under 2 column names")


def test_a_quotation_mark_is_text_in_tsv():
    rows = read("tsv", b'id\ttext\n1\t5" disk\n2\t"a ""b"""\n')
    assert [values["text"] for _, values, _ in rows] == ['5" disk', 'a "b"']
    assert rows[1][0] == '2\t"a ""b"""'


def test_json_lines_stand_as_they_were_written():
    content = b'\n{"text": "a", "n": 12345678901234567890123, "x": 1.10}\n[1]\n{"text": \nnull\n'
    good, array, cut, null = read("jsonl", content)
    assert good[0] == '{"text": "a", "n": 12345678901234567890123, "x": 1.10}'
    assert good[1]["n"] == 12345678901234567890123
    assert array[2] == "expected a JSON object, found list"
    assert "not valid JSON" in cut[2]
    assert null[1] is None


def test_the_columns_of_json_lines_are_the_keys_of_the_first_object():
    records = records_of("jsonl", b'nonsense\n{"b": 1, "a": 2}\n{"c": 1}\n')
    assert records.columns == ("b", "a")
    assert len(list(records)) == 3


def test_blank_lines_are_texts_of_plain_files():
    assert [raw for raw, _, _ in read("text", b"a\n\nb \r\n")] == ["a", "", "b "]


def test_bytes_that_are_not_utf8_are_shown_and_said():
    (row,) = read("text", b"caf\xe9\n")
    assert row[:2] == ("caf\\xe9", {"text": "caf\\xe9"})
    assert row[2].startswith("byte 4 of the line, 0xe9, is not utf-8")
    assert read("text", b"caf\xe9\n", encoding="cp1252") == [("café", {"text": "café"}, None)]


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    records = records_of("csv", b"\xef\xbb\xbftext,id\na,1\n")
    assert records.columns == ("text", "id")
    assert records.lines.has_mark


@pytest.mark.parametrize(
    ("kind", "content", "sentence"),
    [
        ("csv", b"", "it is empty; the first line must name the columns"),
        ("csv", b"text\ra\rb\r", "end in CR alone"),
        ("csv", "text\n".encode("utf-16"), "UTF-16"),
        ("jsonl", b'[\n{"text": "a"}]\n', "one JSON array"),
    ],
)
def test_a_file_that_is_another_thing_is_refused(kind, content, sentence):
    with pytest.raises(BulkError, match=sentence):
        records_of(kind, content)


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("app.bulk.lines.MOST_LINE_BYTES", 10)
    with pytest.raises(BulkError, match="line 2 has more than"):
        read("text", b"short\n" + b"x" * 11)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "text"])
def test_reading_goes_on_from_the_end_of_any_record(kind):
    rows = {"csv": b'text,n\n"a\nb",1\nc,2\n', "tsv": b"text\tn\na\t1\nb\t2\n"}
    content = rows.get(kind, b'{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n')
    records = records_of(kind, content)
    places = [(record.raw, records.lines.offset, records.lines.number) for record in records]
    for done, (_, offset, number) in enumerate(places, start=1):
        again = records_of(kind, content)
        again.lines.seek(offset, number)
        assert [record.raw for record in again] == [raw for raw, _, _ in places[done:]]
