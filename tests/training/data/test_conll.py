"""Schemes of tags: found, read into IOB2, and what is illegal in each."""

import pytest

from training.config import DataConfig
from training.data import DataError, find_scheme, read_sentences, to_iob2
from training.data.conll import is_comment

SAME = {  # two people side by side, a place, a person
    "IOB1": "I-PER I-PER B-PER O I-LOC I-PER",
    "IOB2": "B-PER I-PER B-PER O B-LOC B-PER",
    "BIOES": "B-PER E-PER S-PER O S-LOC S-PER",
}


@pytest.mark.parametrize(("scheme", "tags"), SAME.items())
def test_schemes_are_found_and_say_the_same(scheme, tags):
    assert find_scheme([["O"], tags.split()]) == scheme
    assert " ".join(to_iob2(tags.split(), scheme)) == SAME["IOB2"]


@pytest.mark.parametrize("tags", ["PER PER O work-of-art PER", "I-PER I-PER O I-work-of-art I-PER"])
def test_io_has_no_neighbors_of_one_type(tags):
    assert to_iob2(tags.split(), "IO") == ("B-PER", "I-PER", "O", "B-work-of-art", "B-PER")
    assert to_iob2(tags.split(), find_scheme([tags.split()])) == to_iob2(tags.split(), "IO")


def test_other_letters_for_bioes():
    assert to_iob2(["U-A", "B-A", "L-A", "B-B", "M-B", "E-B"], find_scheme([["U-A"]])) == (
        "B-A",
        "B-A",
        "I-A",
        "B-B",
        "I-B",
        "I-B",
    )


def test_iob2_with_a_stray_beginning_stays_iob2():
    assert find_scheme([["B-A", "I-A", "O", "I-A"]]) == "IOB2"
    assert to_iob2(["B-A", "I-A", "O", "I-A"], "IOB2") == ("B-A", "I-A", "O", "B-A")


@pytest.mark.parametrize(
    ("scheme", "tags", "line", "reason"),
    [
        ("IO", "O B-A", 2, "'B-A' is no tag of the scheme IO"),
        ("IOB1", "O B-A", 2, "'B-A' parts no two entities"),
        ("IOB2", "O S-A", 2, "'S-A' is no tag of the scheme IOB2"),
        ("IOB2", "A", 1, "'A' is no tag of the scheme IOB2"),
        ("BIOES", "O E-A", 2, "'E-A' cannot follow 'O'"),
        ("BIOES", "B-A O", 2, "'O' cannot follow 'B-A'"),
        ("BIOES", "B-A I-B E-B", 2, "'I-B' cannot follow 'B-A'"),
        ("BIOES", "O B-A I-A", 3, "'O' cannot follow 'I-A'"),
    ],
)
def test_what_is_illegal_is_named_with_its_line(tmp_path, scheme, tags, line, reason):
    path = tmp_path / "a.conll"
    path.write_text("".join(f"word {tag}\n" for tag in tags.split()))
    with pytest.raises(DataError, match=rf"a\.conll:{line}: {reason}.*data\.tag_scheme"):
        read_sentences(path, data=DataConfig(tag_scheme=scheme))


def test_columns_of_two_and_four_and_of_tabs(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ada NNP B-NP B-PER\n\nNew York\tB-LOC\nin\tO\n")
    first, second = read_sentences(path)
    assert (first.words, first.tags) == (("Ada",), ("B-PER",))
    assert (second.words, second.tags) == (("New York", "in"), ("B-LOC", "O"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"tokens": ["a"]}', "no column 'ner_tags'; found 'tokens': set data.tags_column"),
        ('{"tokens": ["a"], "ner_tags": []}', "must be lists of one length"),
        ('{"tokens": [""], "ner_tags": ["O"]}', "must hold words that are not empty"),
        ('{"tokens": ["a"], "ner_tags": [1]}', "holds 1: class names are not in the data"),
    ],
)
def test_unusable_rows_of_words_are_named(tmp_path, row, message):
    path = tmp_path / "a.jsonl"
    path.write_text('{"tokens": ["x"], "ner_tags": ["O"]}\n' + row + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{message}"):
        read_sentences(path, data=DataConfig())


@pytest.mark.parametrize(
    ("line", "comments"),
    [
        ("# text = Berlin is big", True),
        ("#", True),
        ("# newdoc", True),
        ("#Berlin\tLOC", False),
        ("#Berlin LOC", False),
        ("# O", False),
        ("# B-ORG", False),
    ],
)
def test_a_word_with_a_hash_is_no_comment(line, comments):
    columns = line.split("\t") if "\t" in line else line.split()
    assert is_comment(line, columns) == comments


@pytest.mark.parametrize(
    "tags",
    ["B_PER E_PER O S_LOC", "PER-B PER-L O LOC-U", "PER.B PER.E O LOC.S", "b_PER e_PER o s_LOC", "B-PER E-PER o S-LOC"],
)
def test_other_spellings_of_a_scheme_are_read(tags, tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("".join(f"word {tag}\n" for tag in tags.split()))
    (sentence,) = read_sentences(path)
    assert sentence.tags == ("B-PER", "I-PER", "O", "B-LOC")
