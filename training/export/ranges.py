"""Activation ranges for int8, measured once on training text, so that an answer cannot depend on its batch."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper

from training.progress import track

Feed = Mapping[str, NDArray[np.generic]]

PERCENTILES = (100.0, 99.999, 99.99)
RANGE_VALUES = 400_000  # values to choose a range by: of so many, the rarest clip (99.999 %) still cuts off four
SAMPLED_TOKENS = 2_048  # of all feeds: 128 MB for 6 layers 384 wide
LEVELS = 255


@dataclass(frozen=True)
class Range:
    """The interval of an activation that uint8 covers. It contains zero, which is then exact."""

    low: float
    high: float

    @property
    def scale(self) -> np.float32:
        return np.float32(max(self.high - self.low, 1e-8) / LEVELS)

    @property
    def zero_point(self) -> np.uint8:
        return np.uint8(np.clip(round(-self.low / float(self.scale)), 0, LEVELS))


@dataclass(frozen=True)
class Activation:
    """What is measured of an activation (tokens, K): its range, and its mean (K,) before and after rounding."""

    range: Range
    mean: NDArray[np.float64]
    rounded_mean: NDArray[np.float64]


def observe_activations(model: ModelProto, names: Iterable[str], feeds: Iterable[Feed]) -> dict[str, Activation]:
    """Run `feeds` through the fp32 graph once: a range for each named activation, and its means.

    The means before rounding are of all tokens. What rounding adds to them is measured on a sample of tokens.
    """
    wanted, feeds = sorted(set(names)), list(feeds)
    tokens_per_run = max(1, SAMPLED_TOKENS // max(1, len(feeds)))
    seen = {name: Observations(tokens_per_run) for name in wanted}
    for name, values in observe(model, wanted, feeds):
        seen[name].add(values)
    return {name: each.summarize() for name, each in seen.items()}


class Observations:
    """What is kept of one activation (tokens, K) while the feeds run."""

    def __init__(self, tokens_per_run: int) -> None:
        self.tokens_per_run = tokens_per_run
        self.generator = np.random.default_rng(0)
        self.tokens = 0
        self.sums = np.zeros(1)  # (K,) once anything was added
        self.samples: list[NDArray[np.float32]] = []  # (tokens_per_run, K) of each run
        self.extremes: list[np.float32] = []  # the least and the greatest value of each run

    def add(self, values: NDArray[np.float32]) -> None:
        self.tokens += len(values)
        self.sums = self.sums + np.ones(len(values), np.float32) @ values  # faster than a sum in float64
        self.extremes += [values.min(), values.max()]
        picked = self.generator.choice(len(values), min(len(values), self.tokens_per_run), replace=False)
        self.samples.append(values[picked])

    def summarize(self) -> Activation:
        sample, mean = np.concatenate(self.samples), self.sums / self.tokens
        chosen = choose_range(np.append(self.some_of(sample.ravel()), self.extremes))
        rounding = (round_trip(sample, chosen) - sample).mean(axis=0, dtype=np.float64)  # (K,)
        return Activation(chosen, mean, mean + rounding)

    def some_of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return as many values as are enough to choose a range by."""
        if len(values) <= RANGE_VALUES:
            return values
        return values[self.generator.integers(len(values), size=RANGE_VALUES)]


def observe(
    model: ModelProto, names: Sequence[str], feeds: Sequence[Feed]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each named activation (tokens, K) of each feed."""
    observed = copy.deepcopy(model)
    observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    for feed in track(feeds, "batches measured"):
        yield from zip(names, session.run(list(names), dict(feed)), strict=True)


def choose_range(values: NDArray[np.float32]) -> Range:
    """Of a few percentile clips, pick the one with the least mean squared error after rounding."""
    lows, highs = np.split(np.percentile(values, [*(100 - p for p in PERCENTILES), *PERCENTILES]), 2)
    candidates = [Range(min(0.0, float(low)), max(0.0, float(high))) for low, high in zip(lows, highs, strict=True)]
    return min(candidates, key=lambda r: float(np.mean((values - round_trip(values, r)) ** 2)))


def round_trip(values: NDArray[np.float32], r: Range) -> NDArray[np.float32]:
    """Quantize and dequantize as `QuantizeLinear` does: round half to even, saturate."""
    levels = np.clip(np.round(values / r.scale) + r.zero_point, 0, LEVELS)
    return ((levels - r.zero_point) * r.scale).astype(np.float32)
