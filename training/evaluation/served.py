"""The exported graph as the service runs it: its own session, its own windows. What is scored is what serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from app.bundle import Bundle, Precision
from app.runtime.cpu.session import CpuSession
from app.settings import available_cores
from app.tasks import TASKS
from app.tasks.base import TaskRequest
from app.tasks.classify import Classify
from app.tasks.ner import Ner
from app.tasks.text import TextEncoder
from app.window import Floats, Window
from training.data import ModelInput
from training.evaluation import FloatArray, Offsets

BATCH_TOKENS = 1024


class ServedGraph:
    """One precision of an unpublished bundle, on the CPU."""

    def __init__(self, bundle: Bundle, precision: Precision) -> None:
        self.session = CpuSession(bundle, precision, available_cores())
        self.encoder = TextEncoder(bundle.tokenizer_file, bundle.manifest.max_length)
        graph = bundle.manifest.graphs[precision]
        self.task: Any = TASKS[bundle.manifest.task](bundle.manifest, self.encoder, graph)

    def run(self, windows: Sequence[Window]) -> list[Floats]:
        """Run any number of windows, similar lengths together; return (rows, width) each, in order."""
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
        outputs: dict[int, Floats] = {}
        for batch in batches(order, [len(window) for window in windows]):
            outputs.update(zip(batch, self.session.run([windows[i] for i in batch]), strict=True))
        return [outputs[i] for i in range(len(windows))]

    def classify(self, inputs: Sequence[ModelInput]) -> list[FloatArray]:
        """Return logits (labels,) per text or pair, its windows combined as the service does."""
        task: Classify = self.task
        items = [i if isinstance(i, str) else {"text": i[0], "text_pair": i[1]} for i in inputs]
        encoded = task.encode(task.request_type.model_validate({"inputs": items}))
        rows = iter(self.run(encoded.windows))
        return [task.pool(np.concatenate([next(rows) for _ in lengths]), lengths) for lengths in encoded.state]

    def tag_tokens(self, texts: Sequence[str]) -> list[tuple[Offsets, FloatArray]]:
        """Return offsets (tokens, 2) and logits (tokens, labels) per text."""
        task: Ner = self.task
        encoded = task.encode(task.request_type.model_validate({"inputs": list(texts)}))
        rows = iter(self.run(encoded.windows))
        return [(t.offsets(), np.concatenate([next(rows) for _ in t.pieces])) for t in encoded.state]

    def fill_masks(
        self, windows: Sequence[list[int]], positions: Sequence[Sequence[int]] | None = None
    ) -> list[FloatArray]:
        """Return logits (positions, vocabulary) per window of token ids; without positions, those of its masks."""
        arrays = [np.array(ids, np.int64) for ids in windows]
        rows = [np.flatnonzero(ids == self.task.mask_id) for ids in arrays]
        if positions is not None:
            rows = [np.array(each, np.int64) for each in positions]
        return self.run([Window(*each) for each in zip(arrays, rows, strict=True)])

    @property
    def predict(self) -> Callable[..., Any]:
        """The function that predicts for the bundle's task: one of the three above."""
        by_task: dict[str, Callable[..., Any]] = {"token-classification": self.tag_tokens, "fill-mask": self.fill_masks}
        return by_task.get(self.task.name, self.classify)

    def answer(self, text: str) -> Any:
        """Answer one text as the service would, default parameters and all."""
        request: TaskRequest = self.task.request_type.model_validate({"inputs": text})
        encoded = self.task.encode(request)
        return self.task.decode(request, encoded.state, self.run(encoded.windows))


def batches(order: Iterable[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut `order` into runs of at most BATCH_TOKENS tokens, or one window where that alone has more."""
    result: list[list[int]] = []
    room = 0
    for i in order:
        if not result or lengths[i] > room:
            result.append([])
            room = BATCH_TOKENS
        result[-1].append(i)
        room -= lengths[i]
    return result
