"""Readers, their errors, and the rendering of words as text."""

import gzip
import itertools

import pytest

from training.config import DataConfig
from training.data import (
    ClassificationExample,
    DataError,
    Sentence,
    label_names,
    legal_iob2,
    read_classification,
    read_documents,
    read_ner,
    read_sentences,
    render,
    tag_names,
)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_jsonl_and_csv_say_the_same(tmp_path):
    jsonl = write(tmp_path / "a.jsonl", '{"text": "x, y", "label": "b"}\n\n{"text": "é", "label": 1}\n')
    table = write(tmp_path / "a.csv", 'text,label\n"x, y",b\né,1\n')
    expected = [ClassificationExample("x, y", ("b",)), ClassificationExample("é", ("1",))]
    assert read_classification(jsonl, DataConfig()) == expected
    assert read_classification(table, DataConfig()) == expected
    assert label_names(expected) == ("1", "b")


def test_columns_pairs_limits_and_lists_of_labels(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"s": "x", "t": "y", "l": ["b", "a"]}\n{"s": "z", "t": "w", "l": []}\n')
    data = DataConfig(text_column="s", text_pair_column="t", label_column="l")
    first, second = read_classification(path, data)
    assert first == ClassificationExample("x", ("b", "a"), "y")
    assert first.model_input == ("x", "y")
    assert second.labels == ()
    assert read_classification(path, data, limit=1) == [first]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text"\n', r"a\.jsonl:2: not valid JSON"),
        ("a.jsonl", "[1]\n", r"a\.jsonl:1: expected a JSON object, found int; make each item"),
        (
            "a.jsonl",
            '{"text": "x"}\n',
            r"a\.jsonl:1: no column 'label' or 'labels'; found 'text'; set data\.label_column",
        ),
        ("a.jsonl", '{"text": " ", "label": "a"}\n', r"a\.jsonl:1: 'text' must be a text that is not empty"),
        ("a.jsonl", '{"text": 3, "label": "a"}\n', r"a\.jsonl:1: 'text' must be a text, found the number 3; write it"),
        ("a.jsonl", '{"text": ["a"], "label": "a"}\n', r"a\.jsonl:1: 'text' must be a text, found a list; write it"),
        ("a.jsonl", '{"text": "x", "label": ""}\n', r"a\.jsonl:1: 'label' is empty; give the row a label"),
        ("a.jsonl", "", r"a\.jsonl: holds no examples"),
        (
            "a.csv",
            "great film,pos\nbad film,neg\nfine,pos\n",
            r"a\.csv:1: the header is missing: 'great film', 'pos' look",
        ),
        ("a.csv", "text,joy,fear\nx,0,1\n", r"no column 'label'.* or data\.label_columns to \[\"joy\", \"fear\"\]"),
        ("a.csv", 'text,label\nx,a\n"x" y,a\n', r"a\.csv:3: not valid CSV"),
        ("a.conll", "x O\n", r"a\.conll: a table is needed, squad, jsonl, parquet, csv, tsv, not conll"),
    ],
)
def test_unusable_rows_are_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_classification(write(tmp_path / name, content), DataConfig())


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.jsonl: cannot be opened: No such file"):
        read_classification(tmp_path / "a.jsonl", DataConfig())
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(DataError, match=r"b\.jsonl:1: cannot be read: byte 11 of the line, 0xff, is not utf-8"):
        read_classification(tmp_path / "b.jsonl", DataConfig())
    (tmp_path / "c.txt.gz").write_bytes(b"plain")
    with pytest.raises(DataError, match=r"c\.txt\.gz: cannot be read"):
        read_documents(tmp_path / "c.txt.gz")


def test_documents_come_one_a_line(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("one é\n\n two\nthree\n".encode()))
    assert read_documents(path) == ["one é", "two", "three"]
    assert read_documents(path, limit=2) == ["one é", "two"]


def test_conll_becomes_iob2(tmp_path):
    content = "# id 1\n-DOCSTART- O\n\nAda NNP I-PER\nByron NNP I-PER\nin IN O\n\n\nRome\tB-LOC\nParis\tI-PER"
    assert read_sentences(write(tmp_path / "a.conll", content)) == [
        Sentence(("Ada", "Byron", "in"), ("B-PER", "I-PER", "O")),
        Sentence(("Rome", "Paris"), ("B-LOC", "B-PER")),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Ada B-PER\nByron\n", r":2: expected a token and a tag, found 'Byron'"),
        ("Ada PER\nin O\nRome B-LOC\n", r":1: 'PER' is no tag of the scheme IOB2"),
        ("Ada O\n#\n", r":2: expected"),
        ("\n\n", r"holds no examples"),
    ],
)
def test_unusable_conll_lines_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_sentences(write(tmp_path / "a.conll", content))


def test_a_hashtag_is_a_token(tmp_path):
    path = write(tmp_path / "a.conll", "#Rome B-LOC\n# O\n")
    assert read_sentences(path) == [Sentence(("#Rome", "#"), ("B-LOC", "O"))]


def test_legal_iob2():
    assert legal_iob2(["I-A", "I-A", "I-B", "O", "I-B", "B-B", "I-B"]) == (
        "B-A",
        "I-A",
        "B-B",
        "O",
        "B-B",
        "B-B",
        "I-B",
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("Hello , world ! !", "Hello, world!!"),
        ("I do n't think Bob 's here .", "I don't think Bob's here."),
        ("it\u2019s : it \u2019s", "it\u2019s: it\u2019s"),
        ("WE DO N'T", "WE DON'T"),
        ('he said " yes , sir " and left', 'he said "yes, sir" and left'),
        ('" a " b " c "', '"a" b "c"'),
        ("50 % of $ 5 ( or [ more ] )", "50% of $5 (or [more])"),
        ("- a well - known fact - Rome", "- a well-known fact - Rome"),
        ("and / or - no -", "and/or-no -"),
        ("the students ' room :) gon na", "the students' room :) gonna"),
        ("U. S. aid of $ 28 , 000 , 5 # news @ BBC", "U.S. aid of $28,000, 5 #news @BBC"),
        ("Mailer ' s book", "Mailer's book"),
        ("one", "one"),
    ],
)
def test_natural_spacing(words, text):
    tokens = tuple(words.split())
    assert render(Sentence(tokens, ("O",) * len(tokens)), "natural").text == text


@pytest.mark.parametrize("style", ["spaced", "natural"])
def test_offsets_cut_out_the_words_and_entities(style):
    words = ("(", "Ada", "Byron", "'s", "café", "in", "São", "Paulo", ",", "Rome", "\U0001f600", "!")
    tags = ("O", "B-PER", "I-PER", "O", "O", "O", "B-LOC", "I-LOC", "O", "B-LOC", "O", "O")
    example = render(Sentence(words, tags), style)
    assert tuple(example.text[start:end] for start, end in example.word_offsets) == words
    entities = [(example.text[start:end], kind) for start, end, kind in example.spans]
    assert entities == [("Ada Byron", "PER"), ("São Paulo", "LOC"), ("Rome", "LOC")]
    assert tag_names([example]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_adjacent_entities_stay_apart():
    example = render(Sentence(("Ada", "Bob", "Rome"), ("B-PER", "B-PER", "B-LOC")), "spaced")
    assert example.spans == ((0, 3, "PER"), (4, 7, "PER"), (8, 12, "LOC"))


def test_styles_are_drawn_by_a_seeded_coin(tmp_path):
    path = write(tmp_path / "a.conll", "Hi O\n, O\nAda B-PER\n\n" * 64)
    drawn = {seed: [example.text for example in read_ner(path, None, seed)] for seed in (1, 2)}
    assert set(itertools.chain(*drawn.values())) == {"Hi , Ada", "Hi, Ada"}
    assert drawn[1] != drawn[2]
    assert drawn[1] == [example.text for example in read_ner(path, None, 1)]
    assert {example.text for example in read_ner(path, "natural")} == {"Hi, Ada"}
