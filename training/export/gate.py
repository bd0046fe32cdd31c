"""The gate that int8 must pass: what it costs in the task's metric is bounded, whatever has to stay in fp32 for it.

A few hundred validation examples cannot tell a small loss from chance: only a loss that a paired test calls real
counts. Post-training quantization may break a few operators and spare the rest. Those are found one by one and left
in fp32, the most sensitive first, as in mixed-precision search by sensitivity (Wu et al. 2020, arXiv:2004.09602,
section 5, there called partial quantization).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from training.evaluation.bootstrap import PairedDrop
from training.export.quantize import measure_activations, operators_of, quantize
from training.export.ranges import Activation, Feed
from training.export.verify import VerificationError
from training.progress import track

log = logging.getLogger(__name__)

SIGNIFICANCE = 0.05  # a drop with a greater p-value may be chance
SENSITIVITY_FEEDS = 4  # batches on which one operator's error is measured; there are four operators per layer


@dataclass(frozen=True)
class GateDecision:
    """What the gate did: drops are in points of 100 of the task's metric, `before` is with everything in int8.

    A p-value is the chance of such a drop if int8 is no worse than fp32.
    """

    max_drop: float
    drop_before: float
    drop_after: float
    p_value_before: float
    p_value_after: float
    kept_fp32: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"kept_fp32": list(self.kept_fp32)}


def gate_int8(
    fp32: ModelProto, feeds: Iterable[Feed], compare: Callable[[ModelProto], PairedDrop], max_drop: float
) -> tuple[ModelProto, GateDecision]:
    """Quantize `fp32`, leaving as many operators in fp32 as it takes for the metric to drop by `max_drop` at most.

    `compare` returns the points that a graph loses against `fp32` on the validation split, and whether they may be
    chance: a drop that may be is accepted too. The operators whose rounding alone moves the outputs most are left in
    fp32: one, then two, four, eight... of them. Raises `VerificationError` when the metric drops too far even with a
    single one in int8.
    """
    feeds = list(feeds)
    activations = measure_activations(fp32, feeds)
    model = quantize(fp32, activations)
    before = drop = compare(model)
    if accepts(drop, max_drop):
        return model, GateDecision(max_drop, before.points, drop.points, before.p_value, drop.p_value)
    log.info("looking for the operators that break int8")
    errors = sensitivities(fp32, activations, feeds)
    ranked = sorted(errors, key=errors.__getitem__, reverse=True)
    for count in doublings(len(ranked) - 1):
        kept = tuple(ranked[:count])
        model = quantize(fp32, activations, frozenset(kept))
        drop = compare(model)
        log.info("with %s in fp32:", ", ".join(kept))
        if accepts(drop, max_drop):
            return model, GateDecision(max_drop, before.points, drop.points, before.p_value, drop.p_value, kept)
    raise VerificationError(
        f"int8 loses {drop.points:.2f} points, more than the {max_drop:g} allowed, with a single operator in int8; set "
        "export.precisions to fp32, or allow more with export.max_metric_drop"
    )


def accepts(drop: PairedDrop, max_drop: float) -> bool:
    """Whether a drop is within bounds or may be chance; the log says which."""
    if drop.points <= 0:
        log.info("int8 loses nothing on the validation split")
        return True
    if drop.points <= max_drop:
        log.info("int8 loses %.2f points on the validation split, of %g allowed", drop.points, max_drop)
        return True
    may_be_chance = drop.p_value > SIGNIFICANCE
    log.info(
        "int8 loses %.2f points on the validation split, more than the %g allowed%s (p = %.3f)",
        drop.points,
        max_drop,
        ", which may be chance" if may_be_chance else "",
        drop.p_value,
    )
    return may_be_chance


def sensitivities(fp32: ModelProto, activations: Mapping[str, Activation], feeds: Sequence[Feed]) -> dict[str, float]:
    """Return, for each operator, the root mean square error of the logits when it alone is in int8."""
    some = feeds[:: max(1, len(feeds) // SENSITIVITY_FEEDS)][:SENSITIVITY_FEEDS]
    expected = logits_of(fp32, some)
    operators = operators_of(fp32)
    return {
        name: root_mean_square(logits_of(quantize(fp32, activations, set(operators) - {name}), some) - expected)
        for name in track(operators, "operators tried in int8")
    }


def logits_of(model: ModelProto, feeds: Sequence[Feed]) -> NDArray[np.float32]:
    """Return the logits of all feeds: (rows, width)."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, dict(feed))[0] for feed in feeds])


def root_mean_square(values: NDArray[np.float32]) -> float:
    """Return the root of the mean square; infinite where a value is not finite, as the worst there is."""
    error = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    return error if np.isfinite(error) else np.inf


def doublings(limit: int) -> list[int]:
    """Return 1, 2, 4, 8... below `limit`, and `limit`."""
    return [*(2**power for power in range(limit.bit_length()) if 2**power < limit), limit]
