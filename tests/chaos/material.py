"""The requests of a run: short texts for every task, and texts of a given number of windows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from app.tasks import TASKS
from tests.chaos.client import Question

WORDS = [
    *("Ada", "Byron", "met", "Bob", "in", "Paris", "and", "Rome", "a", "good", "or", "bad", "film", "that", "was"),
    *("warm", "cold", "dull", "great", "🙂", "café", ",", "but", "(", "yet", ")", "."),
]
MASK = "[MASK]"
POISON = "§"  # a word that is in no other text


class Material:
    """Makes requests for the bundles of a folder; the same `seed` gives the same requests."""

    def __init__(self, models: Path, seed: int = 0) -> None:
        self.folders = bundles_by_route(models)
        self.dice = random.Random(seed)
        self._tokenizers: dict[str, Tokenizer] = {}

    def words(self, least: int, most: int) -> list[str]:
        return self.dice.choices(WORDS, k=self.dice.randint(least, most))

    def text(self, route: str, least: int = 2, most: int = 40) -> str:
        """Return a text, with a mask where the route needs one."""
        words = self.words(least, most)
        if route == "fill-mask":
            words.insert(self.dice.randrange(len(words)), MASK)
        return " ".join(words)

    def short(self, count: int, route: str = "classify", **fields: Any) -> list[Question]:
        """Return requests of one short text each."""
        return [Question.of(f"/{route}", {"inputs": self.text(route)}, **fields) for _ in range(count)]

    def mixed(self, count: int, **fields: Any) -> list[Question]:
        """Return requests of all tasks, of one text or several."""
        found = []
        for number in range(count):
            route = list(self.folders)[number % len(self.folders)]
            texts = [self.text(route) for _ in range(self.dice.choice((1, 1, 1, 2, 5)))]
            found.append(Question.of(f"/{route}", {"inputs": texts if len(texts) > 1 else texts[0]}, **fields))
        return found

    def of_texts(self, texts: int, count: int, route: str = "classify", **fields: Any) -> list[Question]:
        """Return requests of so many short texts each, a window for each text."""
        inputs = [[self.text(route, 4, 12) for _ in range(texts)] for _ in range(count)]
        return [Question.of(f"/{route}", {"inputs": each}, **fields) for each in inputs]

    def of_windows(self, windows: int, count: int, route: str = "classify", **fields: Any) -> list[Question]:
        """Return requests of one text each, which fills `windows` windows."""
        return [Question.of(f"/{route}", {"inputs": self.long_text(route, windows)}, **fields) for _ in range(count)]

    def long_text(self, route: str, windows: int) -> str:
        """Return a text whose last window is full or nearly so; windows share a quarter of their tokens."""
        capacity = self.capacity(route)
        tokens = capacity + (windows - 1) * (capacity - capacity // 4)
        words: list[str] = []
        while (missing := tokens - self.count_tokens(route, " ".join(words))) > 8:
            words += self.words(missing // 3 + 1, missing // 3 + 1)
        while self.count_tokens(route, " ".join(words)) > tokens:
            words.pop()
        return " ".join(words)

    def capacity(self, route: str) -> int:
        """Return how many tokens of a text one window holds."""
        return int(json.loads((self.folders[route] / "manifest.json").read_text())["max_length"]) - 2

    def count_tokens(self, route: str, text: str) -> int:
        return len(self.ids(route, text))

    def ids(self, route: str, text: str) -> list[int]:
        """Return the tokens of a text, special ones left out."""
        if route not in self._tokenizers:
            self._tokenizers[route] = Tokenizer.from_file(str(self.folders[route] / "tokenizer.json"))
            self._tokenizers[route].no_truncation()
        return list(self._tokenizers[route].encode(text, add_special_tokens=False).ids)

    def poison(self, route: str) -> str:
        """Return the id, as text, of the token that only texts with `POISON` have."""
        return str(self.ids(route, f"a {POISON}")[-1])


def bundles_by_route(models: Path) -> dict[str, Path]:
    """Return the folder of one bundle for each route that has one."""
    found: dict[str, Path] = {}
    for manifest in sorted(models.glob("*/*/manifest.json")):
        task = TASKS[json.loads(manifest.read_text())["task"]]
        found.setdefault(task.route, manifest.parent)
    return found


def name_of(bundle: Path) -> str:
    return bundle.parent.name
