"""Activation ranges for int8, measured once on training text, so that an answer cannot depend on its batch."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
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


def measure_ranges(model: ModelProto, names: Iterable[str], feeds: Iterable[Feed]) -> dict[str, Range]:
    """Run `feeds` through the fp32 graph and choose a range for each named activation."""
    wanted = sorted(set(names))
    observed = copy.deepcopy(model)
    observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in wanted}
    for feed in feeds:
        for name, values in zip(wanted, session.run(wanted, dict(feed)), strict=True):
            flat = values.ravel()
            picked = generator.choice(flat, min(flat.size, SAMPLES_PER_RUN), replace=False)
            samples[name].append(np.concatenate([picked, [flat.min(), flat.max()]]))
    return {name: choose_range(np.concatenate(values)) for name, values in samples.items()}


def choose_range(values: NDArray[np.float32]) -> Range:
    """Of a few percentile clips, pick the one with the least mean squared error after rounding."""
    candidates = [
        Range(min(0.0, float(np.percentile(values, 100 - p))), max(0.0, float(np.percentile(values, p))))
        for p in PERCENTILES
    ]
    return min(candidates, key=lambda r: float(np.mean((values - round_trip(values, r)) ** 2)))


def round_trip(values: NDArray[np.float32], r: Range) -> NDArray[np.float32]:
    """Quantise and dequantise as `QuantizeLinear` does: round half to even, saturate."""
    levels = np.clip(np.round(values / r.scale) + r.zero_point, 0, LEVELS)
    return ((levels - r.zero_point) * r.scale).astype(np.float32)
