"""Activation ranges for int8, measured once on training text, so that an answer cannot depend on its batch."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper

Feed = Mapping[str, NDArray[np.generic]]

PERCENTILES = (100.0, 99.999, 99.99)
SAMPLES_PER_RUN = 20_000
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
    """What calibration knows of an activation (tokens, K): its range, and its mean (K,) before and after rounding."""

    range: Range
    mean: NDArray[np.float64]
    rounded_mean: NDArray[np.float64]


def measure_activations(model: ModelProto, names: Iterable[str], feeds: Iterable[Feed]) -> dict[str, Activation]:
    """Run `feeds` through the fp32 graph twice: to choose a range for each named activation, and for its means."""
    wanted, feeds = sorted(set(names)), list(feeds)
    ranges = measure_ranges(model, wanted, feeds)
    sums = {name: [np.zeros(1), np.zeros(1)] for name in wanted}
    tokens = dict.fromkeys(wanted, 0)
    for name, values in observe(model, wanted, feeds):
        sums[name][0] = sums[name][0] + values.sum(axis=0, dtype=np.float64)
        sums[name][1] = sums[name][1] + round_trip(values, ranges[name]).sum(axis=0, dtype=np.float64)
        tokens[name] += len(values)
    return {name: Activation(ranges[name], *(each / tokens[name] for each in sums[name])) for name in wanted}


def measure_ranges(model: ModelProto, names: Sequence[str], feeds: Iterable[Feed]) -> dict[str, Range]:
    """Run `feeds` through the fp32 graph and choose a range for each named activation."""
    generator = np.random.default_rng(0)
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for name, values in observe(model, names, feeds):
        flat = values.ravel()
        picked = generator.choice(flat, min(flat.size, SAMPLES_PER_RUN), replace=False)
        samples[name].append(np.concatenate([picked, [flat.min(), flat.max()]]))
    return {name: choose_range(np.concatenate(values)) for name, values in samples.items()}


def observe(
    model: ModelProto, names: Sequence[str], feeds: Iterable[Feed]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each named activation (tokens, K) of each feed."""
    observed = copy.deepcopy(model)
    observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    for feed in feeds:
        yield from zip(names, session.run(list(names), dict(feed)), strict=True)


def choose_range(values: NDArray[np.float32]) -> Range:
    """Of a few percentile clips, pick the one with the least mean squared error after rounding."""
    candidates = [
        Range(min(0.0, float(np.percentile(values, 100 - p))), max(0.0, float(np.percentile(values, p))))
        for p in PERCENTILES
    ]
    return min(candidates, key=lambda r: float(np.mean((values - round_trip(values, r)) ** 2)))


def round_trip(values: NDArray[np.float32], r: Range) -> NDArray[np.float32]:
    """Quantize and dequantize as `QuantizeLinear` does: round half to even, saturate."""
    levels = np.clip(np.round(values / r.scale) + r.zero_point, 0, LEVELS)
    return ((levels - r.zero_point) * r.scale).astype(np.float32)
