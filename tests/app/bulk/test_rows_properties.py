"""Whatever stands in a table comes out as it went in, before the answer."""

import csv
import io
import json
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from app.bulk.inputs import Prediction
from app.bulk.lines import Lines
from app.bulk.records import open_records
from app.bulk.rows import Row
from app.bulk.writing import JsonWriter, Naming, TableWriter

ANSWER = Prediction({"label": 'a "b",\n', "score": 0.5, "labels": [{"label": "a"}]}, None)
TYPES = {"label": str, "score": float, "labels": list}
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
TABLES = st.integers(2, 4).flatmap(lambda width: st.lists(st.tuples(*[CELLS] * width), min_size=1, max_size=6))


def rows_of(kind, content):
    records = open_records(kind, Lines(Path("a.x"), io.BytesIO(content)))
    rows = [Row(record.values, record.values, record.raw) for record in records]
    return records, rows


def written(writer, rows):
    return (writer.begin() + writer.render(rows, [ANSWER] * len(rows))).decode()


@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@example([("a", "b\r\nc"), ('"', "\r")], "\r\n", csv.QUOTE_MINIMAL)
def test_csv_stands_as_it_was(table, end, quoting):
    if end == "\n":  # the csv module does not quote a carriage return then
        quoting = csv.QUOTE_ALL
    names = [f"c{number}" for number in range(len(table[0]))]
    content = io.StringIO()
    csv.writer(content, lineterminator=end, quoting=quoting).writerows([names, *table])
    records, rows = rows_of("csv", content.getvalue().encode())
    naming = Naming(TYPES, names, None)
    output = written(TableWriter(names, naming, ",", head=records.head), rows)
    _, *found = csv.reader(io.StringIO(output, newline=""), strict=True)
    answer = [ANSWER.cells["label"], "0.5", '[{"label":"a"}]', ""]
    assert found == [[*row, *answer] for row in table]
    assert output.replace(f',"a ""b"",\n",0.5,"[{{""label"":""a""}}]",{end}', end).endswith(
        content.getvalue().partition(end)[2]
    )
    in_json = [json.loads(line) for line in written(JsonWriter(names, naming, keeps_raw=False), rows).split("\n")[:-1]]
    assert [[row[name] for name in names] for row in in_json] == [list(row) for row in table]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CELLS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(CELLS, children, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES), min_size=1, max_size=5))
def test_json_lines_stand_as_they_were(objects):
    lines = [json.dumps(each) for each in objects]
    _, rows = rows_of("jsonl", "\n".join(lines).encode())
    found = written(JsonWriter("abcd", Naming(TYPES, "abcd", None), keeps_raw=True), rows).split("\n")[:-1]
    assert [json.loads(line) for line in found] == [{**each, **ANSWER.cells, "error": None} for each in objects]
    assert all(line.startswith(before[:-1]) for before, line in zip(lines, found, strict=True))
