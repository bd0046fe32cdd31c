"""What a team writes around an exported classifier: a transformers tokenizer and one onnxruntime session.

Runs in the environments of the peers, which have neither torch nor this project's packages.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from transformers import AutoTokenizer

MAX_TOKENS = 512


def options() -> argparse.Namespace:
    """Read the settings that both handlers have; what else the command line says is the framework's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True, help="config.json, tokenizer and graph")
    parser.add_argument("--graph", required=True, help="file in the folder")
    parser.add_argument("--threads", type=int, default=1, help="of one session.run")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with a session")
    parser.add_argument("--batch", type=int, default=1, help="most texts in a session.run")
    parser.add_argument("--wait-ms", type=int, default=0, help="how long a batch waits to be filled")
    return parser.parse_known_args()[0]


class Classifier:
    """Texts to the scores of every label, the best first."""

    def __init__(self, folder: Path, graph: str, threads: int) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(str(folder))
        id2label = json.loads((folder / "config.json").read_text())["id2label"]
        self.labels = [id2label[str(number)] for number in range(len(id2label))]
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(folder / graph), settings, ["CPUExecutionProvider"])
        self.inputs = [each.name for each in self.session.get_inputs()]

    def __call__(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        encoded = self.tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="np")
        (logits,) = self.session.run(None, {name: encoded[name] for name in self.inputs})  # (batch, labels)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = exponentials / exponentials.sum(axis=1, keepdims=True)
        return [self.ranked(row) for row in scores.tolist()]

    def ranked(self, scores: Sequence[float]) -> list[dict[str, Any]]:
        entries = [{"label": label, "score": score} for label, score in zip(self.labels, scores, strict=True)]
        return sorted(entries, key=lambda entry: -entry["score"])
