"""Questions with answers from SQuAD's JSON and from tables; whatever is wrong is named with its place."""

import gzip
import json
import time

import pytest

from tests.support.squad import squad, write_squad
from training.checking.check import check
from training.config import DataConfig, Recipe
from training.data import DataError
from training.data.dialects import describe
from training.data.formats import format_of
from training.data.questions import QuestionExample, placed_questions, read_questions
from training.tasks import training_task

CONTEXT = "Ada lives in Paris . Bob met 😀 Ada in Rome ."
PARIS = QuestionExample("Where does Ada live ?", CONTEXT, (("Paris", 13),))
NOBODY = QuestionExample("Where does Carol live ?", CONTEXT, ())
BOTH = QuestionExample("Where ?", CONTEXT, (("Paris", 13), ("Rome", 38)))
EVERY = [PARIS, NOBODY, BOTH]


def answers_of(example):
    return [{"text": text, "answer_start": start} for text, start in example.answers]


def paragraphs():
    qas = [
        {"question": each.question, "answers": answers_of(each), "is_impossible": not each.answers} for each in EVERY
    ]
    qas[1]["plausible_answers"] = [{"text": "Paris", "answer_start": 13}]
    return [{"context": CONTEXT, "qas": qas}]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def rows(answers):
    return [{"question": each.question, "context": CONTEXT, **answers(each)} for each in EVERY]


def listed(example):
    texts, starts = zip(*example.answers, strict=True) if example.answers else ((), ())
    return {"text": list(texts), "answer_start": list(starts)}


CSV = f"""question,context,answer,answer_start
Where does Ada live ?,{CONTEXT},Paris,13
Where does Carol live ?,{CONTEXT},,
Where ?,{CONTEXT},"[""Paris"", ""Rome""]","[13, 38]"
"""
FILES = {
    "2.0.json": json.dumps(squad(paragraphs(), "2.0")),
    "1.1.json": json.dumps(squad(paragraphs(), "1.1"), indent=1),
    "no suffix": json.dumps(squad(paragraphs(), "2.0")),
    "marked.json": "\ufeff" + json.dumps(squad(paragraphs(), "2.0")),
    "paragraphs.json": json.dumps(paragraphs()),
    "articles.jsonl": lines(squad(paragraphs(), "2.0")["data"]),
    "hub.jsonl": lines(rows(lambda each: {"answers": listed(each)})),
    "objects.jsonl": lines(rows(lambda each: {"answers": answers_of(each)})),
    "flat.jsonl": lines(
        rows(lambda each: {"answer": [t for t, _ in each.answers], "start": [s for _, s in each.answers]})
    ),
    "impossible.jsonl": lines(
        rows(lambda each: {"answers": listed(BOTH if each == NOBODY else each), "is_impossible": each == NOBODY})
    ),
    "table.csv": CSV,
    "semicolons.csv": CSV.replace(",", ";").replace('""; ""', '"", ""').replace("[13; ", "[13, "),
    "nan.csv": CSV.replace(",,", ",nan,nan"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognized_and_read(name, tmp_path):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    assert read_questions(tmp_path / name, DataConfig()) == EVERY


def test_squad_is_read_where_it_is_packed_or_long(tmp_path):
    long = [{"context": CONTEXT + " so" * 100_000, "qas": paragraphs()[0]["qas"]}] * 2
    with gzip.open(tmp_path / "a.json.gz", "wt", encoding="utf-8") as file:
        json.dump(squad(long, "2.0"), file)
    assert len(read_questions(tmp_path / "a.json.gz", DataConfig())) == 6
    assert describe(tmp_path / "a.json.gz", DataConfig()) == "format squad"


def test_columns_may_have_other_names_and_a_single_place_needs_no_start(tmp_path):
    (tmp_path / "a.tsv").write_text(f"q\tc\ta\nWhere does Ada live ?\t{CONTEXT}\tParis\n", encoding="utf-8")
    data = DataConfig(question_column="q", context_column="c", answers_column="a")
    assert read_questions(tmp_path / "a.tsv", data) == [PARIS]


GOOD = {"question": "Where ?", "context": CONTEXT, "answer": "Paris", "answer_start": 13}
WRONG = {
    "no question": ({"question": " "}, "'question' must be a text that is not empty; write one, or remove the row"),
    "an empty context": ({"context": ""}, "'context' must be a text that is not empty; write one, or remove the row"),
    "one too late": ({"answer_start": 14}, "'Paris' is not at 14, 'aris ' is; it is at 13: count characters from 0"),
    "UTF-16": ({"answer": "Rome", "answer_start": 39}, "'ome ' is; it is at 38: count characters, not UTF-16 units"),
    "bytes": ({"answer": "Rome", "answer_start": 41}, "'e .' is; it is at 38: count characters, not bytes"),
    "behind the end": ({"answer_start": 900}, "'Paris' is not at 900, behind the context; it is at 13: count"),
    "negative": ({"answer_start": -1}, "'Paris' is not at -1, behind the context; it is at 13: count characters"),
    "nowhere": ({"answer": "Oslo"}, "'Oslo' is not at 13, 'Pari' is; it is nowhere in the context: correct the one"),
    "another case": ({"answer": "paris"}, "'paris' is not at 13, 'Paris' is; it is nowhere in the context"),
    "no start, twice there": ({"answer": "Ada", "answer_start": None}, "'Ada' has no start and is 2 times in the con"),
    "no start, not there": ({"answer": "Oslo", "answer_start": ""}, "'Oslo' has no start and is not in the context"),
    "no number": ({"answer_start": "x"}, "the start of 'Paris' is 'x', no number; count characters from 0"),
    "a fraction": ({"answer_start": 13.5}, "'Paris' is not at 13.5"),
    "two answers, one start": ({"answer": ["Paris", "Rome"]}, "2 answers have 1 starts; write one start for each"),
    "a number": ({"answer": 5}, "an answer must be a text that is not empty, found 5; write it, or none at all"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_with_the_line(kind, tmp_path):
    changes, sentence = WRONG[kind]
    (tmp_path / "a.jsonl").write_text(lines([GOOD, GOOD | changes]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_questions(tmp_path / "a.jsonl", DataConfig())
    assert str(caught.value).startswith(f"{tmp_path}/a.jsonl:2: ")
    assert sentence in str(caught.value)


def test_columns_that_are_missing_are_named_with_their_settings(tmp_path):
    for name, setting in ("question", "question_column"), ("context", "context_column"), ("answer", "answers_column"):
        row = {("other" if key == name else key): value for key, value in GOOD.items()}
        (tmp_path / "a.jsonl").write_text(lines([row]), encoding="utf-8")
        with pytest.raises(DataError, match=rf"a\.jsonl:1: no column '{name}s?'; found .*; set data\.{setting}"):
            read_questions(tmp_path / "a.jsonl", DataConfig())


def test_a_question_of_squad_is_named_by_its_number_and_id(tmp_path):
    whole = squad(paragraphs(), "1.1")
    whole["data"][0]["paragraphs"][0]["qas"][2]["answers"][0]["answer_start"] = 12
    (tmp_path / "a.json").write_text(json.dumps(whole), encoding="utf-8")
    refused = []
    assert len(list(placed_questions(tmp_path / "a.json", DataConfig(), refused.append))) == 2
    assert str(refused[0]).startswith(f"{tmp_path}/a.json:3 (id q0-2): 'Paris' is not at 12, ' Pari' is; it is at 13")
    del whole["data"][0]["paragraphs"][0]["qas"]
    (tmp_path / "a.json").write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(DataError, match=r"'qas' must be a list of objects; write the file as SQuAD has it"):
        read_questions(tmp_path / "a.json", DataConfig(format="squad"))


# --- check ------------------------------------------------------------------------------------------------


def recipe(**data):
    return Recipe.model_validate({"name": "x", "task": "qa", "base": "nowhere", "data": data})


def test_check_says_what_training_would_refuse(tmp_path):
    bad = [GOOD | changes for changes, _ in WRONG.values()]
    (tmp_path / "a.jsonl").write_text(lines([GOOD, *bad]), encoding="utf-8")
    findings = check(recipe(train="a.jsonl"), tmp_path)
    errors = {each.check: each.count for each in findings if each.severity == "error"}
    assert errors == {"empty text": 2, "wrong span": 12, "unreadable": 1, "too few examples": 1}


def test_questions_about_one_context_are_no_near_copies_and_stay_together(tmp_path):
    write_squad(
        tmp_path, {"train": 40}, sentences=3, filler=["The weather was fine all the day long and into the night ."]
    )
    findings = check(recipe(train="train.json"), tmp_path)
    assert {each.check for each in findings if each.severity != "note"} <= {"duplicate"}
    splits = training_task("question-answering").read_splits(recipe(train="train.json"), tmp_path)
    contexts = [{each.context for each in part} for part in (splits.train, splits.validation, splits.test)]
    assert len(set.union(*contexts)) == sum(map(len, contexts))
    assert all(contexts)


def test_a_file_of_white_space_is_recognized_in_no_time(tmp_path):
    file = tmp_path / "empty.txt"
    file.write_bytes(b"\n" * 40_000)
    started = time.monotonic()
    assert format_of(file, DataConfig()).name == "text"
    assert time.monotonic() - started < 1
