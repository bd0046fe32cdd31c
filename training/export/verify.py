"""Proof that an exported graph is the checkpoint: logits over many mixes of lengths, not labels on one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from app.runtime.session import Session
from app.tasks.text import TextEncoder
from app.window import Floats, Window

FP32_TOLERANCE = 1e-4  # of logits, which are of the order of 10
COMPANY_TOLERANCE = 1e-4  # an answer alone against the same answer in a batch
PROBE_MARGIN = 2.0  # other CPUs round otherwise; a wrong graph is off by far more
LENGTH_MIXES = ((1,), (2, 1), (3, 7), (512, 1, 1), (1, 256, 2, 128), (5,) * 32, (64, 64), tuple(range(1, 40)))


class VerificationError(Exception):
    """The exported graph does not answer as the checkpoint does; nothing may be published."""


@dataclass(frozen=True)
class Drift:
    """Differences of logits from the checkpoint's; `company` is between alone and in a batch."""

    greatest: float
    mean: float
    company: float


def reference_logits(model: PreTrainedModel, task: str, window: Window) -> Floats:
    """Return the checkpoint's own answer for one window: (rows, width), float32, computed without padding."""
    inputs = {"input_ids": torch.from_numpy(window.input_ids)[None]}
    if window.token_type_ids is not None and model.config.type_vocab_size > 1:
        inputs["token_type_ids"] = torch.from_numpy(window.token_type_ids)[None]
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(**inputs).logits[0].float().numpy()
    return logits[None] if task == "text-classification" else logits[window.head_rows]


def length_mixes(tokens: Sequence[int], encoder: TextEncoder, task: str) -> Iterator[list[Window]]:
    """Cut a stream of real tokens into batches of windows of many lengths, heavy skew and batch one included."""
    position = 0
    for mix in LENGTH_MIXES:
        windows = []
        for length in mix:
            length = min(length, encoder.capacity, len(tokens))
            position = position if position + length <= len(tokens) else 0
            ids = [*encoder.special.prefix, *tokens[position : position + length], *encoder.special.suffix]
            rows = np.zeros(1, np.int64) if task == "text-classification" else np.arange(len(ids))
            windows.append(Window(np.array(ids, np.int64), rows[:: 1 if task != "fill-mask" else 8]))
            position += length
        yield windows


def measure_drift(session: Session, model: PreTrainedModel, task: str, mixes: Iterator[list[Window]]) -> Drift:
    """Compare every window of every mix with the checkpoint, and with itself alone."""
    errors, company = [], 0.0
    for windows in mixes:
        together = session.run(windows)
        for window, answered in zip(windows, together, strict=True):
            errors.append(np.abs(answered - reference_logits(model, task, window)).ravel())
            (alone,) = session.run([window])
            company = max(company, float(np.abs(answered - alone).max()))
    every = np.concatenate(errors)
    return Drift(float(every.max()), float(every.mean()), company)


def check_drift(drift: Drift, precision: str) -> None:
    """Raise `VerificationError` when fp32 is not the checkpoint, or any answer depends on its company."""
    if precision == "fp32" and not drift.greatest <= FP32_TOLERANCE:
        raise VerificationError(
            f"the fp32 graph is off by {drift.greatest:.2g}, more than {FP32_TOLERANCE:.0e}: not published"
        )
    if not drift.company <= COMPANY_TOLERANCE:
        raise VerificationError(f"{precision} answers move by {drift.company:.2g} with their batch: not published")
