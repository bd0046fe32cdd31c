"""The bodies of all tasks: parsed, encoded, and answered from made-up outputs. Refusals are `ServeError`s."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic_core import to_json

from app.errors import InternalError, ServeError
from app.serving.parsing import Bounds, parse
from app.tasks import TASKS
from tests.app.builders import make_encoder, make_graph, make_manifest, wordpiece_tokenizer
from tests.fuzz.harness import Harness

BOUNDS = Bounds(inputs=16, characters=10_000)
LABELS = ("O", "B-PER", "I-PER", "B-LOC")


class Body(Harness):
    """The body of one task."""

    declared = (ServeError,)
    task: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        kind = TASKS[self.task]
        manifest = make_manifest(task=kind.name, labels=LABELS if kind.has_labels else ())
        self.opened = kind(manifest, make_encoder(wordpiece_tokenizer(), folder), make_graph())
        self.width = len(LABELS) if kind.has_labels else self.opened.encoder.tokenizer.get_vocab_size()

    def read(self, data: bytes) -> None:
        request: Any = parse(data, self.opened.request_type, BOUNDS)
        encoded = self.opened.encode(request)
        numbers = np.random.default_rng(0)
        outputs = []
        for window in encoded.windows:
            rows = numbers.normal(size=(len(window.head_rows), self.width)).astype(np.float32)
            outputs.append(rows if window.ranking is None else window.ranking.keep(rows))
        assert encoded.windows
        assert all(0 < len(window) <= self.opened.encoder.max_length for window in encoded.windows)
        try:
            to_json(self.opened.decode(request, encoded.state, outputs))
        except InternalError as error:
            raise AssertionError("a defect") from error


class ClassifyBody(Body):
    name, task = "request-classify", "text-classification"


class NerBody(Body):
    name, task = "request-ner", "token-classification"


class FillMaskBody(Body):
    name, task = "request-fill-mask", "fill-mask"
