"""Schemes of tags: found, read into IOB2, and what is illegal in each."""

import pytest

from training.config import DataConfig
from training.data import DataError, find_scheme, read_classification, read_sentences, to_iob2
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


def words_and_tags(path, content, **data):
    path.write_text(content, encoding="utf-8")
    return [tuple(zip(each.words, each.tags, strict=True)) for each in read_sentences(path, data=DataConfig(**data))]


ADA = (("Ada", "B-PER"), ("ran", "O"))
LAYOUTS = {
    "two": "Ada B-PER\nran O\n",
    "named": "Token\tTag\nAda\tB-PER\nran\tO\n",
    "2003": "Ada NNP B-NP B-PER\nran VBD B-VP O\n",
    "a third that says nothing": "Ada B-PER _\nran O _\n",
    "a third of its own": "Ada B-PER extra0\nran O extra1\n",
    "numbered": "1\tAda\tB-PER\t-\tme\n2\tran\tO\t-\tme\n",
    "tags first": "B-PER\tAda\nO\tran\n",
    "CoNLL-U": "# text = x\n1\tAda\tAda\tPROPN\tNNP\t_\t2\tnsubj\t_\tname=B-PER\n"
    "2-3\tranto\t_\t_\t_\t_\t_\t_\t_\t_\n2\tran\trun\tVERB\tVBD\t_\t0\troot\t_\tSpaceAfter=No|name=O\n"
    "2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n",
    "CoNLL-U without O": "1\tAda\tAda\tPROPN\tNNP\t_\t2\tnsubj\t_\tNER=B-PER\n"
    "2\tran\trun\tVERB\tVBD\t_\t0\troot\t_\tSpaceAfter=No\n",
}


@pytest.mark.parametrize(
    "name", ["a.tsv", "a.csv", "a.txt", "a.conll", "a.CONLL", "a.iob", "a.bio", "a.conllu", "a.unknown"]
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_words_and_tags_are_found_by_content_under_any_suffix(tmp_path, layout, name):
    assert words_and_tags(tmp_path / name, LAYOUTS[layout] + "\n" + LAYOUTS[layout]) == [ADA, ADA]


@pytest.mark.parametrize(
    "content",
    [
        "Ada x1\nran x2\nto x3\nthe x4\n",
        "1\tAda\tAda\tPROPN\tNNP\t_\t2\tnsubj\t_\tSpaceAfter=No\n2\tran\trun\tVERB\tVBD\t_\t0\troot\t_\t_\n",
        "doc 0 0 Ada NNP (TOP* - - - * (PERSON) -\ndoc 0 1 ran VBD * - - - * * -\n",
    ],
)
def test_a_file_without_a_column_of_tags_is_refused(tmp_path, content):
    with pytest.raises(
        DataError, match=r"a\.conll: no column holds tags: found lines such as '.*; write the tag of each"
    ):
        words_and_tags(tmp_path / "a.conll", content)


@pytest.mark.parametrize("parting", [" ", "\t"])
def test_a_space_within_a_word_loses_nothing(tmp_path, parting):
    content = "New York B-LOC\nhas O\n10\u00a0000 O\nthe\u3000sea O\n".replace(" B", f"{parting}B").replace(
        " O", f"{parting}O"
    )
    [found] = words_and_tags(tmp_path / "a.conll", content)
    assert found == (("New York", "B-LOC"), ("has", "O"), ("10\u00a0000", "O"), ("the\u3000sea", "O"))


def test_bare_types_need_no_prefix(tmp_path):
    content = "".join(f"w{i} {tag}\n" for i, tag in enumerate(["PER", "PER", "O", "LOC", "O", "O", "O", "O", "O"]))
    [found] = words_and_tags(tmp_path / "a.conll", content)
    assert [tag for _, tag in found[:4]] == ["B-PER", "I-PER", "O", "B-LOC"]


def test_a_table_of_labels_is_no_conll(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\nx y\tO\nz w\tA\n")
    assert [each.labels for each in read_classification(path, DataConfig())] == [("O",), ("A",)]


KAGGLE = {
    "first word of each": "Sentence #,Word,POS,Tag\nSentence: 1,Ada,NNP,B-per\n,ran,VBD,O\nSentence: 2,Café,NN,O\n",
    "every word": "sentence_id;words;labels\n0;Ada;B-per\n0;ran;O\n1;Café;O\n",
    "lists": "Sentence,POS,Tag\nAda ran,\"['NNP', 'VBD']\",\"['B-per', 'O']\"\nCafé,\"['NN']\",\"['O']\"\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("kind", KAGGLE)
def test_a_table_with_a_word_in_each_row(tmp_path, kind, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(KAGGLE[kind].encode(encoding))
    data = DataConfig(tokens_column="Sentence", tags_column="Tag") if kind == "lists" else DataConfig()
    found = read_sentences(path, data=data)
    assert [each.words for each in found] == [("Ada", "ran"), ("Café",)]
    assert [each.tags for each in found] == [("B-per", "O"), ("O",)]


def test_a_table_of_words_without_a_number_of_the_sentence_says_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Word,Tag,s\nAda,B-per,1\nran,O,1\n")
    with pytest.raises(
        DataError, match=r"a\.csv:2: no column 'tokens'; .* each row is a word, set data\.sentence_column too"
    ):
        read_sentences(path, data=DataConfig())
    assert len(read_sentences(path, data=DataConfig(sentence_column="s"))) == 1
    path.write_text("Word,Tag,s\nAda,B-per,1\n,O,1\n")
    with pytest.raises(DataError, match=r"a\.csv:3: expected a word in 'Word' and its tag in 'Tag'; write both"):
        read_sentences(path, data=DataConfig(sentence_column="s"))
