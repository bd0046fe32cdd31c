"""Whether an exported graph computes what the checkpoint does: outputs over many mixes of lengths are compared.

The checkpoint answers once, as a `Reference`; every precision is compared with that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from app.tasks.text import TextEncoder
from app.window import Floats, Ints, Window
from training.encoders import family_of
from training.errors import ExpectedError
from training.progress import count, track

FP32_TOLERANCE = 1e-4  # of outputs of the order of 10
BATCH_TOLERANCE = 1e-4  # of an answer by itself against the same answer in a batch
PROBE_MARGIN = 2.0  # other CPUs round otherwise; a wrong graph is off by far more
LENGTH_MIXES = ((1,), (2, 1), (3, 7), (512, 1, 1), (1, 256, 2, 128), (5,) * 32, tuple(range(1, 40)))
REFERENCE_TOKENS = 1024  # in one batch of the checkpoint; a masked-LM head answers each with the whole vocabulary

# What a task reads of a checkpoint's output for windows of one length: an array (rows, width) for each window.
Read = Callable[[ModelOutput, Sequence[Window]], list[Floats]]


class VerificationError(ExpectedError):
    """The exported graph does not answer as the checkpoint does; nothing may be published."""


class Runnable(Protocol):
    """Whatever computes windows, such as a session on any device."""

    def run(self, windows: Sequence[Window]) -> list[Floats]:
        """Return an array (rows, width) for each window, in order."""
        ...


@dataclass(frozen=True)
class Reference:
    """Batches of windows of many lengths, and what the checkpoint answers to each window: (rows, width)."""

    mixes: Sequence[Sequence[Window]]
    expected: Sequence[Sequence[Floats]]


@dataclass(frozen=True)
class Drift:
    """Differences of a graph's answers from the checkpoint's, and of an answer in a batch from the same by itself."""

    greatest: float
    mean: float
    batch_dependence: float


def length_mixes(tokens: Sequence[int], encoder: TextEncoder, rows_of: Callable[[int], Ints]) -> list[list[Window]]:
    """Cut a stream of real tokens into batches of windows of many lengths, heavy skew and batch one included.

    `rows_of` returns the head rows of a window of so many tokens.
    """
    mixes, position = [], 0
    for mix in LENGTH_MIXES:
        windows = []
        for length in mix:
            length = min(length, encoder.capacity, len(tokens))
            position = position if position + length <= len(tokens) else 0
            ids = [*encoder.special.prefix, *tokens[position : position + length], *encoder.special.suffix]
            windows.append(Window(np.array(ids, np.int64), rows_of(len(ids))))
            position += length
        mixes.append(windows)
    return mixes


def make_reference(model: PreTrainedModel, mixes: Sequence[Sequence[Window]], read: Read) -> Reference:
    """Let the checkpoint answer every window of every mix."""
    answers = iter(answers_of(model, [window for mix in mixes for window in mix], read))
    return Reference(mixes, [[next(answers) for _ in mix] for mix in mixes])


def answers_of(model: PreTrainedModel, windows: Sequence[Window], read: Read) -> list[Floats]:
    """Return what `read` takes of the checkpoint's output for each window, in order.

    Windows of one length are a batch, so that nothing is padded: no answer rests on the checkpoint's own mask.
    """
    answers: dict[int, Floats] = {}
    with count(len(windows), "answers of the checkpoint") as steps:
        for batch in equal_batches(windows):
            some = [windows[i] for i in batch]
            with torch.inference_mode():
                answers |= zip(batch, read(model(**inputs_of(model, some)), some), strict=True)
            steps.advance(len(batch))
    return [answers[i] for i in range(len(windows))]


def equal_batches(windows: Sequence[Window]) -> Iterator[list[int]]:
    """Yield the places of windows that can be stacked: of one length, and all with token types or all without."""
    alike = defaultdict(list)
    for i, window in enumerate(windows):
        alike[len(window), window.token_type_ids is None].append(i)
    for (length, _), places in alike.items():
        size = max(1, REFERENCE_TOKENS // length)
        yield from (places[start : start + size] for start in range(0, len(places), size))


def inputs_of(model: PreTrainedModel, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
    """Stack windows of one length: (B, S) int64 each."""
    inputs = {"input_ids": torch.from_numpy(np.stack([window.input_ids for window in windows]))}
    types = [window.token_type_ids for window in windows if window.token_type_ids is not None]
    if types and family_of(model).token_types(model.config) > 1:
        inputs["token_type_ids"] = torch.from_numpy(np.stack(types))
    return inputs


def measure_drift(session: Runnable, reference: Reference) -> Drift:
    """Compare every window of every mix with the checkpoint, and with the same window by itself.

    Raises `VerificationError` for an answer of another shape.
    """
    errors, batch_dependence = [], 0.0
    mixes = list(zip(reference.mixes, reference.expected, strict=True))
    for windows, expected in track(mixes, "batches verified"):
        for window, together, right in zip(windows, session.run(windows), expected, strict=True):
            if together.shape != right.shape:
                raise VerificationError(f"the graph answers {together.shape} where the checkpoint has {right.shape}")
            (by_itself,) = session.run([window])
            errors.append(np.abs(together - right).ravel())
            batch_dependence = max(batch_dependence, greatest_of(np.abs(together - by_itself)))
    every = np.concatenate(errors)
    return Drift(greatest_of(every), float(every.mean()), batch_dependence)


def greatest_of(differences: Floats) -> float:
    """Return the greatest difference; infinite where one is not a number, as the worst there is."""
    greatest = float(differences.max())
    return np.inf if np.isnan(greatest) else greatest


def check_drift(drift: Drift, precision: str) -> None:
    """Raise `VerificationError` when fp32 is not the checkpoint, or any answer depends on its batch."""
    if precision == "fp32" and not drift.greatest <= FP32_TOLERANCE:
        raise VerificationError(
            f"the fp32 graph is off by {drift.greatest:.2g}, more than {FP32_TOLERANCE:.0e}: not published"
        )
    if not drift.batch_dependence <= BATCH_TOLERANCE:
        raise VerificationError(
            f"{precision} answers move by {drift.batch_dependence:.2g} with their batch: not published"
        )
