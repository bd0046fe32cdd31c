"""Tables of every format say the same; each kind of broken one is named."""

import gzip

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from training.config import DataConfig
from training.data import ClassificationExample, DataError, HubSplit, read_classification, read_sentences
from training.data.errors import nearest
from training.data.tables import rows

EXPECTED = [ClassificationExample('say "x", y', ("b",)), ClassificationExample("é", ("a",))]
CONTENTS = {
    "a.jsonl": '{"text": "say \\"x\\", y", "label": "b"}\n{"text": "é", "label": "a"}\n',
    "a.csv": 'text,label\r\n"say ""x"", y",b\r\né,a\r\n',
    "a.tsv": 'text\tlabel\nsay "x", y\tb\né\ta\n',
    "b.tsv": 'text\tlabel\n"say ""x"", y"\tb\né\ta\n',
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CONTENTS)
def test_text_formats_agree(tmp_path, name, packed):
    content = CONTENTS[name].encode("utf-8-sig")
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read_classification(path, DataConfig()) == EXPECTED


@pytest.mark.parametrize("packed", [False, True])
def test_parquet_agrees(tmp_path, packed):
    path = tmp_path / "a.parquet"
    table = {"text": [each.text for each in EXPECTED], "label": [each.labels[0] for each in EXPECTED]}
    parquet.write_table(pa.table(table), path)
    if packed:
        path = tmp_path / "b.parquet.gz"
        path.write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert read_classification(path, DataConfig()) == EXPECTED


def test_class_numbers_become_names_and_minus_one_is_none(tmp_path):
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    table = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
    table.to_parquet(tmp_path / "a.parquet")
    assert [row.values["label"] for row in rows(tmp_path / "a.parquet", DataConfig())] == ["yes", None]
    with pytest.raises(DataError, match=r"a\.parquet:2: 'label' is empty; give the row a label"):
        read_classification(tmp_path / "a.parquet", DataConfig())


def test_tags_of_a_table_are_named_by_its_features(tmp_path):
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER", "I-PER"]))
    features = datasets.Features(tokens=datasets.List(datasets.Value("string")), ner_tags=tags)
    rows = {"tokens": [["Ada", "Byron", "in"]], "ner_tags": [[1, 2, 0]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    [sentence] = read_sentences(tmp_path / "a.parquet", data=DataConfig())
    assert sentence.tags == ("B-PER", "I-PER", "O")


def test_a_dataset_of_the_hub_is_read_by_split(tmp_path, monkeypatch):
    (tmp_path / "sst").mkdir()
    (tmp_path / "sst" / "train.csv").write_text("text,label\nx,a\n", encoding="utf-8")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    split = HubSplit(str(tmp_path / "sst"), None, "train")
    assert read_classification(split, DataConfig()) == [ClassificationExample("x", ("a",))]
    with pytest.raises(DataError, match=r"sst/dev: the dataset cannot be loaded: [^\n]*$"):
        read_classification(HubSplit(str(tmp_path / "sst"), None, "dev"), DataConfig())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,label\nx,a,b\n", r"a\.csv:2: 3 cells under 2 column names; quote a cell"),
        ("a.tsv", b"text\tlabel\nx\n", r"a\.tsv:2: 1 cells under 2 column names"),
        ("a.csv", b"text,label\n", r"a\.csv: holds no examples"),
        ("a.csv", b"", r"a\.csv: holds no examples"),
        ("a.csv", b"text,lable\nx,a\n", r"no column 'label' or 'labels'; .*perhaps to 'lable'$"),
        ("a.csv", b"Text,label\nx,a\n", r"no column 'text'; .*set data\.text_column, perhaps to 'Text'$"),
        ("a.csv", b"text,label\n\xc3\xa9,a\n\xe9t\xe9,a\n", r"a\.csv:3: .* byte 1 of the line, 0xe9, is not utf-8"),
        (
            "a.csv",
            b"text,label\nx\x81\xff,a\n",
            r"a\.csv:2: .* 0x81, is not utf-8; save the file as UTF-8, or set data.enc",
        ),
        ("a.csv", b"\xff\xfet\x00e\x00x", r"a\.csv: cannot be read as utf-16: .*; set data\.encoding$"),
        (
            "a.csv",
            b"PK\x03\x04xl/workbook.xml",
            r"a\.csv: cannot be read: it is a workbook or an archive; save the sheet",
        ),
        ("a.parquet", b"PAR1 and then nothing of use", r"a\.parquet: not valid Parquet"),
        ("a.parquet", b"", r"a\.parquet: not valid Parquet"),
        (
            "a.csv.gz",
            gzip.compress(b"text,label\n" + b"x,a\n" * 999)[:-12],
            r"a\.csv\.gz: cannot be read: .*make it",
        ),
        ("a.xml", b"<a/>", r"cannot infer the format from the suffix; set data\.format"),
        ("a.jsonl", b'[\n{"text": "x"}', r"a\.jsonl:2: not valid JSON: .*write one array of objects, or one a line$"),
    ],
)
def test_each_kind_of_broken_file_is_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_classification(tmp_path / name, DataConfig())
    assert "\n" not in str(caught.value)


def test_reading_goes_on_after_what_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": 1}\n{"text"\n\n{"text": "\xff"}\n3\n{"text": 2}\n')
    (tmp_path / "a.csv").write_bytes(b'a,b\n"x" y,1\nz,2\n')
    refused = []
    found = list(rows(tmp_path / "a.jsonl", DataConfig(), refused.append))
    assert [row.values["text"] for row in found] == [1, "\ufffd", 2]
    assert found[-1].where.endswith("a.jsonl:6")
    assert len(refused) == 3
    assert [row.values for row in rows(tmp_path / "a.csv", DataConfig(), refused.append)] == [{"a": "z", "b": "2"}]


def test_nearest():
    assert nearest("label", ["Sentiment", "lable", "id"]) == "lable"
    assert nearest("label", ["text", "id"]) == ""


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "say \\"x\\", y", "label": "b"}, {"text": "é", "label": "a"}]',
        '[\n {"text": "say \\"x\\", y", "label": "b"},\n {"text": "é", "label": "a"}\n]\n',
        '{"version": 1, "data": [{"text": "say \\"x\\", y", "label": "b"}, {"text": "é", "label": "a"}]}',
        '{"text": {"0": "say \\"x\\", y", "1": "é"}, "label": {"0": "b", "1": "a"}}',
        '{\n "text": {"0": "say \\"x\\", y", "1": "é"},\n "label": {"0": "b", "1": "a"}\n}',
        '\n\n{"text": "say \\"x\\", y", "label": "b"}\n\n{"text": "é", "label": "a"}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_of_every_shape(tmp_path, content, encoding):
    (tmp_path / "a.json").write_bytes(content.encode(encoding))
    assert read_classification(tmp_path / "a.json", DataConfig()) == EXPECTED
