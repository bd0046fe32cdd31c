"""Data that a tiny model learns in seconds, for every kind of problem, and recipes for it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.config import Recipe

PEOPLE, PLACES = ("Ada", "Bob", "Byron"), ("Paris", "Rome", "São")
GOOD, BAD = ("good", "lovely", "warm", "great"), ("bad", "awful", "cold", "dull")
SIZES = {"train": 64, "validation": 24, "test": 24}
QUICK = {
    "epochs": 6,
    "learning_rate": 5e-3,
    "batch_size": 8,
    "weight_decay": 0.0,
    "max_length": 32,
    "mixed_precision": "no",
}


def single(rng: random.Random) -> dict[str, Any]:
    label, words = rng.choice([("p", GOOD), ("n", BAD)])
    return {"text": " ".join(rng.choices(words, k=rng.randint(1, 9))), "label": label}


def multi(rng: random.Random) -> dict[str, Any]:
    words, labels = rng.choice([("good", ["praise"]), ("bad", ["blame"]), ("film", ["praise", "blame"]), ("the", [])])
    return {"text": " ".join([words] * rng.randint(1, 9)), "label": labels}


def number(rng: random.Random) -> dict[str, Any]:
    good = rng.randint(0, 4)
    return {"text": " ".join([*["good"] * good, *["bad"] * (4 - good)]), "label": good / 2}


def pair(rng: random.Random) -> dict[str, Any]:
    word, other = rng.choice(["good", "bad"]), rng.choice(["good", "bad"])
    return {"text": f"the {word} film", "other": f"a {other} film", "label": "same" if word == other else "different"}


KINDS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "single": single,
    "multi": multi,
    "number": number,
    "pair": pair,
}


def sentence(rng: random.Random) -> str:
    name, place = rng.choice(PEOPLE), rng.choice(PLACES)
    return f"{name} B-PER\nmet O\nBob B-PER\nByron I-PER\n( O\nin O\n{place} B-LOC\n) O\n. O\n\n"


def write_data(folder: Path) -> Path:
    """Write KIND-SPLIT.jsonl for each kind, ner-SPLIT.conll and news.txt."""
    rng = random.Random(0)
    for split, size in SIZES.items():
        for kind, row in KINDS.items():
            lines = "".join(json.dumps(row(rng)) + "\n" for _ in range(size))
            (folder / f"{kind}-{split}.jsonl").write_text(lines, encoding="utf-8")
        (folder / f"ner-{split}.conll").write_text("".join(sentence(rng) for _ in range(size)), encoding="utf-8")
    (folder / "news.txt").write_text("a good film\nAda met Bob\n", encoding="utf-8")
    return folder


def recipe_of(kind: str, base: Path | str, data: dict[str, Any] | None = None, **training: Any) -> Recipe:
    """Return a quick recipe for one of the kinds of data, or for ``ner``."""
    task, suffix = ("token-classification", "conll") if kind == "ner" else ("text-classification", "jsonl")
    files = {split: f"{kind}-{split}.{suffix}" for split in SIZES} | (data or {})
    fields = {"name": "tiny", "task": task, "base": str(base), "data": files, "training": QUICK | training}
    return Recipe.model_validate(fields)
