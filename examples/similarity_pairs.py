"""Pairs of texts with scores, made of texts that have labels and of documents: what embeddings can be scored on.

    python examples/similarity_pairs.py DATA OUT

`DATA` holds intents/{train,validation,test}.csv (`text,label`) and text/{validation,news}.txt.gz (a document a line).
Two texts of one label, and the two halves of one document, score 1; two of different ones score 0. `OUT` takes
validation.jsonl, test.jsonl, retrieval.jsonl (texts of the test set, each with another of its label) and texts.txt, to
calibrate int8 with.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

PAIRS = 400  # of a split and a kind of text, half of them similar
CALIBRATION = 128  # texts of each kind
LEAST_WORDS, MOST_WORDS = 16, 120  # of a document, the rest of which is left out

Pair = tuple[str, str]


def main(data: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    halves = {name: list(documents(data / "text" / f"{name}.txt.gz")) for name in ("validation", "news")}
    middle = len(halves["validation"]) // 2
    for split, documents_of in (
        ("validation", halves["validation"][:middle]),
        ("test", halves["validation"][middle:]),
    ):
        generator = random.Random(split)
        groups = labeled(data / "intents" / f"{split}.csv")
        rows = [*of_groups(groups, generator), *of_documents(documents_of, generator)]
        write(out / f"{split}.jsonl", rows)
    generator = random.Random(0)
    groups = labeled(data / "intents" / "test.csv")
    pairs = [generator.sample(texts, 2) for texts in groups.values() for _ in range(10)]
    write(out / "retrieval.jsonl", [{"anchor": one, "positive": other} for one, other in pairs])
    short = [text for texts in labeled(data / "intents" / "train.csv").values() for text in texts]
    long = [" ".join(pair) for pair in halves["news"]]
    texts = generator.sample(short, CALIBRATION) + generator.sample(long, CALIBRATION)
    generator.shuffle(texts)
    (out / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")


def labeled(path: Path) -> dict[str, list[str]]:
    """Return the texts of each label."""
    groups: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["label"], []).append(row["text"])
    return groups


def documents(path: Path) -> Iterator[Pair]:
    """Yield the halves of the beginning of each document."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            words = line.split()[:MOST_WORDS]
            if len(words) >= LEAST_WORDS:
                yield " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def of_groups(groups: dict[str, list[str]], generator: random.Random) -> Iterator[dict[str, object]]:
    labels = list(groups)
    for _ in range(PAIRS // 2):
        yield scored(*generator.sample(groups[generator.choice(labels)], 2), 1)
        one, other = generator.sample(labels, 2)
        yield scored(generator.choice(groups[one]), generator.choice(groups[other]), 0)


def of_documents(pairs: list[Pair], generator: random.Random) -> Iterator[dict[str, object]]:
    for one, other in itertools.islice(pairs, PAIRS // 2):
        yield scored(one, other, 1)
        yield scored(one, generator.choice([second for _, second in pairs if second != other]), 0)


def scored(one: str, other: str, score: int) -> dict[str, object]:
    return {"sentence1": one, "sentence2": other, "score": score}


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
