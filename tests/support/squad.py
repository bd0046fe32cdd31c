"""SQuAD-shaped data: contexts of templated facts, with questions about them, some without an answer."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAMES = ("Ada", "Bob", "Byron", "Carol", "Dora", "Emil", "Frida", "Georg")
PLACES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Quito", "Turin")
# What is said of a person, what is asked, and from what the answer is drawn.
FACTS = (
    ("{name} lives in {answer} .", "Where does {name} live ?", PLACES),
    ("{name} met {answer} .", "Who did {name} meet ?", NAMES),
)
Answer = dict[str, Any]


def paragraph(
    rng: random.Random, sentences: int, filler: Sequence[str] = (), impossible: float = 0.0
) -> dict[str, Any]:
    """Return a context of facts about different people with a question about each; some ask what it does not say."""
    names = rng.sample(NAMES, sentences)
    context, questions = "", []
    for name in names:
        fact, question, answers = rng.choice(FACTS)
        answer = rng.choice([each for each in answers if each != name])
        sentence = fact.format(name=name, answer=answer)
        start = len(context) + sentence.rindex(answer)
        context += sentence + " "
        if filler:
            context += rng.choice(filler) + " "
        if rng.random() < impossible:
            unanswered = next(each for _, each, _ in FACTS if each != question)
            questions.append({"question": unanswered.format(name=name), "answers": [], "is_impossible": True})
        else:
            found = {"text": answer, "answer_start": start}
            questions.append({"question": question.format(name=name), "answers": [found], "is_impossible": False})
    return {"context": context.strip(), "qas": questions}


def squad(paragraphs: Sequence[dict[str, Any]], version: str) -> dict[str, Any]:
    """Return SQuAD's JSON of paragraphs, whose questions get ids; 1.1 does not say whether one is impossible."""
    numbered = []
    for number, each in enumerate(paragraphs):
        qas = [{"id": f"q{number}-{i}", **question} for i, question in enumerate(each["qas"])]
        if version == "1.1":
            qas = [{key: value for key, value in question.items() if key != "is_impossible"} for question in qas]
        numbered.append({"context": each["context"], "qas": qas})
    return {"version": version, "data": [{"title": "facts", "paragraphs": numbered}]}


def write_squad(folder: Path, sizes: dict[str, int], *, version: str = "2.0", sentences: int = 2, **how: Any) -> Path:
    """Write SPLIT.json for each split, with so many paragraphs."""
    rng = random.Random(0)
    for split, size in sizes.items():
        paragraphs = [paragraph(rng, sentences, **how) for _ in range(size)]
        (folder / f"{split}.json").write_text(json.dumps(squad(paragraphs, version)), encoding="utf-8")
    return folder
