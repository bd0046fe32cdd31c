"""The exported graph as the service runs it, with the service's session and windows: what is scored is what serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from pydantic_core import from_json, to_json
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from app.bundle import Bundle, Precision
from app.runtime.cpu.session import CpuSession
from app.settings import available_cores
from app.tasks import open_task
from app.tasks.base import Encoded
from app.tasks.text import TextEncoder
from app.window import Floats, Window
from training.progress import track

BATCH_TOKENS = 512  # tokens


class ServedGraph:
    """One precision of a bundle, published or not, on the CPU: a batch on each core."""

    def __init__(self, bundle: Bundle, precision: Precision) -> None:
        """Raise `SessionError` when the graph does not run here."""
        self.bundle, self.precision = bundle, precision
        self.session = CpuSession(bundle, precision, intra_op_threads=1)
        self.task: Any = open_task(bundle, precision)  # of a type that only the task's own module knows

    @property
    def encoder(self) -> TextEncoder:
        encoder: TextEncoder = self.task.encoder
        return encoder

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The bundle's tokenizer as transformers has it, which knows what its special tokens are for."""
        known, special = self.encoder.tokenizer, self.encoder.special
        tokens = {
            "cls_token": known.id_to_token(special.prefix[0]),
            "sep_token": known.id_to_token(special.suffix[-1]),
        }
        if mask := getattr(self.task, "mask_token", None):  # of a task that fills masks
            tokens["mask_token"] = mask
        return PreTrainedTokenizerFast(
            tokenizer_file=str(self.bundle.tokenizer_file),
            model_max_length=self.bundle.manifest.max_length,
            **tokens,
        )

    def encode(self, body: Mapping[str, object]) -> Encoded[Any]:
        """Return the windows of a request's body, and what the task needs to read their outputs."""
        encoded: Encoded[Any] = self.task.encode(self.task.request_type.model_validate(body))
        return encoded

    def run(self, windows: Sequence[Window]) -> list[Floats]:
        """Run any number of windows, similar lengths together; return (rows, width) each, in order."""
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
        batches = batches_of(order, [len(window) for window in windows])

        def run_batch(batch: list[int]) -> list[Floats]:
            return self.session.run([windows[i] for i in batch])

        outputs: dict[int, Floats] = {}
        with ThreadPoolExecutor(available_cores()) as pool:
            answers = track(pool.map(run_batch, batches), f"batches in {self.precision}", len(batches))
            for batch, answered in zip(batches, answers, strict=True):
                outputs.update(zip(batch, answered, strict=True))
        return [outputs[i] for i in range(len(windows))]

    def answer(self, body: Mapping[str, object]) -> Any:
        """Answer a request's body as the service would."""
        request = self.task.request_type.model_validate(body)
        encoded = self.task.encode(request)
        return from_json(to_json(self.task.decode(request, encoded.state, self.run(encoded.windows))))


def batches_of(order: Iterable[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut `order` into runs of at most BATCH_TOKENS tokens, or one window where that alone has more."""
    result: list[list[int]] = []
    left = 0
    for i in order:
        if not result or lengths[i] > left:
            result.append([])
            left = BATCH_TOKENS
        result[-1].append(i)
        left -= lengths[i]
    return result
