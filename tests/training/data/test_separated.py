"""Tables as spreadsheets save them: delimiters, encodings, line breaks, empty rows."""

import gzip

import pytest

from training.config import DataConfig, Recipe, RecipeError, load_recipe
from training.data import ClassificationExample, DataError, find_problem_type, read_classification
from training.data.dialects import describe

EXPECTED = [ClassificationExample("Good, but long", ("pos",)), ClassificationExample('so "bad";\nno', ("neg",))]
ROWS = {
    ";": 'text;label\r\nGood, but long;pos\r\n"so ""bad"";\nno";neg\r\n;\r\n;\r\n',
    "quoted ;": '"text";"label"\r\n"Good, but long";"pos"\r\n"so ""bad"";\nno";"neg"\r\n',
    "sep=": 'sep=;\r\ntext;label\r\nGood, but long;pos\r\n"so ""bad"";\nno";neg\r\n',
    "|": 'text|label\nGood, but long|pos\n"so ""bad"";\nno"|neg\n',
    "tab": 'text\tlabel\r\nGood, but long\tpos\r\n"so ""bad"";\nno"\tneg\r\n\t\r\n',
    ",": 'text, label,,\n"Good, but long",pos,,\n"so ""bad"";\nno",neg,,\n,,,\n',
}


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv", "a.csv.gz", "a.txt"])
@pytest.mark.parametrize("rows", ROWS)
def test_every_delimiter_is_found_by_the_header(tmp_path, rows, name):
    path = write(tmp_path / name, ROWS[rows])
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_classification(path, DataConfig()) == EXPECTED


def test_columns_of_other_names_are_told_apart_too(tmp_path):
    path = write(tmp_path / "a.csv", "review;stars, of five\nfine, really;4\nno, no, no;1\n")
    data = DataConfig(text_column="review", label_column="stars, of five")
    assert [each.labels for each in read_classification(path, data)] == [("4",), ("1",)]
    path = write(tmp_path / "b.csv", "a;b\tc\nx,1;y\tz\n")
    assert read_classification(path, DataConfig(text_column="a", label_column="b\tc", delimiter=";"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_found(tmp_path, encoding, ends):
    text = "text;label\nnaïve “café”;für\nplain;été\n".replace("\n", ends)
    found = read_classification(write(tmp_path / "a.csv", text, encoding), DataConfig())
    assert [(each.text, each.labels[0]) for each in found] == [("naïve “café”", "für"), ("plain", "été")]


def test_another_encoding_is_set(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nдым,ёж\n", "cp1251")
    [found] = read_classification(path, DataConfig(encoding="cp1251"))
    assert (found.text, found.labels) == ("дым", ("ёж",))
    with pytest.raises(RecipeError, match=r"data\.encoding: there is no encoding 'utf-9'; name one such as utf-8"):
        load_recipe(Recipe, None, {"name": "x", "task": "ner", "data.encoding": "utf-9"})


@pytest.mark.parametrize(
    ("name", "text", "encoding", "expected"),
    [
        ("a.csv", ROWS[","], "utf-8", ""),
        ("a.csv", "text;label\né;b\n", "cp1252", "cells separated by a semicolon, encoding cp1252"),
        ("a.csv", ROWS["tab"], "utf-16", "cells separated by a tab, encoding utf-16"),
        ("a.tsv", ROWS[","], "utf-8", "cells separated by a comma"),
        ("a.data", ROWS["|"], "utf-8", "format csv, cells separated by a vertical bar"),
        ("a.csv", '[{"text": "x", "label": "y"}]', "utf-8", "format jsonl, a JSON array"),
        ("a.json", '{"text": "x", "label": "y"}', "utf-8", ""),
        ("a.tsv", "Ada\tB-PER\nran\tO\n", "utf-8", "format conll"),
    ],
)
def test_what_was_found_is_said(tmp_path, name, text, encoding, expected):
    assert describe(write(tmp_path / name, text, encoding), DataConfig()) == expected


def test_numbers_with_decimal_commas_are_numbers(tmp_path):
    path = write(tmp_path / "a.csv", "text;label\na;0,5\nb;-1,25\nc;3\n")
    assert [each.target for each in read_classification(path, DataConfig())] == [0.5, -1.25, 3.0]
    assert find_problem_type(["0,5", "3"], None)[1].endswith("not all are whole (commas are decimal)")


def test_a_tab_separated_cell_that_never_closes_loses_no_row(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"open\n' + "x\ta\n" * 3)
    refused = []
    with pytest.raises(DataError, match=r"a\.tsv:2: 1 cells under 2 column names"):
        read_classification(path, DataConfig())
    from training.data.tables import rows

    assert len(list(rows(path, DataConfig(), refused.append))) == 3
    assert len(refused) == 1


@pytest.mark.parametrize("value", ["\t", "\\t", "tab"])
def test_a_tab_may_be_written_in_words(value):
    assert DataConfig(delimiter=value).delimiter == "\t"


@pytest.mark.parametrize("value", ["true", "2024-01-01", "12", "1e3", "[a]"])
def test_a_column_may_be_called_like_a_value_of_toml(value):
    assert (
        load_recipe(Recipe, None, {"name": "x", "task": "ner", "data.label_column": value}).data.label_column == value
    )
    quoted = load_recipe(Recipe, None, {"name": "x", "task": "ner", "data.label_column": f'"{value}"'})
    assert quoted.data.label_column == value


def test_a_quotation_mark_that_stays_open_is_named_where_it_opens(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\nx,a\n"y,a\nz,a\nhe said "no",b\n')
    with pytest.raises(
        DataError, match=r"a\.csv:3: not valid CSV, a quotation mark that is open to line 5: ',' expected"
    ):
        read_classification(path, DataConfig())
