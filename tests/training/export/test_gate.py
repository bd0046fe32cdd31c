"""The int8 gate: the operator that breaks is found, it alone stays in fp32, and the bound is kept or nothing is."""

from __future__ import annotations

import json
from dataclasses import astuple

import numpy as np
import pytest
import torch

from app.runtime.packing import PackedLayout
from app.window import Window
from tests.support.tiny import TAGS, fp32_graph, tiny_model
from training.evaluation.bootstrap import PairedDrop, paired_drop
from training.export.gate import SIGNIFICANCE, doublings, gate_int8, logits_of, sensitivities
from training.export.quantize import measure_activations, operators_of
from training.export.verify import VerificationError

POISONED = "layers.1.output"


@pytest.fixture(scope="module")
def poisoned():
    """Return a tagger in which each row of one linear layer has a weight so large that int8 rounds off the others.

    What it multiplies is made as small, so that the fp32 model needs every weight of the row.
    """
    model = tiny_model("token-classification", TAGS)
    layer = model.base_model.encoder.layer[1]
    with torch.no_grad():
        layer.intermediate.dense.weight[5] *= 1e-4
        layer.intermediate.dense.bias[5] *= 1e-4
        layer.output.dense.weight[:, 5] *= 1e3
    return fp32_graph(model)


@pytest.fixture(scope="module")
def feeds(poisoned):
    layout = PackedLayout([i.name for i in poisoned.graph.input], 2)
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 40, (6, 5))
    return [layout.feed([Window(generator.integers(5, 300, n), np.arange(n)) for n in row]) for row in lengths]


@pytest.fixture(scope="module")
def compare(poisoned, feeds):
    """Return a function that tests how often a graph's best tags are those of fp32."""
    expected = logits_of(poisoned, feeds).argmax(axis=1)

    def compare(model):
        agrees = logits_of(model, feeds).argmax(axis=1) == expected
        return paired_drop(share_of(np.ones(len(expected))), share_of(agrees), "agreement", len(expected))

    return compare


def share_of(right):
    return lambda weights: {"agreement": weights @ right.astype(np.float64) / weights.sum(axis=1)}


def test_exactly_the_operator_that_breaks_is_left_in_fp32(poisoned, feeds, compare):
    model, decision = gate_int8(poisoned, feeds, compare, max_drop=6.0)
    assert decision.kept_fp32 == (POISONED,)
    assert decision.drop_before > 6.0 >= decision.drop_after
    assert (decision.drop_after, decision.p_value_after) == astuple(compare(model))
    assert decision.p_value_before < SIGNIFICANCE
    weights = {tensor.name for tensor in model.graph.initializer}
    assert f"{POISONED}.weight" in weights
    assert {name for name in operators_of(poisoned) if f"{name}.weight.int8" not in weights} == {POISONED}


def test_the_broken_operator_is_by_far_the_most_sensitive(poisoned, feeds):
    errors = sensitivities(poisoned, measure_activations(poisoned, feeds), feeds)
    assert list(errors) == operators_of(poisoned)
    broken = errors.pop(POISONED)
    assert broken > 3 * max(errors.values())


def test_a_graph_within_bounds_is_int8_throughout(poisoned, feeds):
    model, decision = gate_int8(poisoned, iter(feeds), lambda model: PairedDrop(0.25, 0.001), max_drop=0.5)
    assert decision.as_json() == {
        "max_drop": 0.5,
        "drop_before": 0.25,
        "drop_after": 0.25,
        "p_value_before": 0.001,
        "p_value_after": 0.001,
        "kept_fp32": [],
    }
    assert json.loads(json.dumps(decision.as_json())) == decision.as_json()
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in model.graph.node) == 8


@pytest.mark.parametrize(("lost", "searches"), [(0, False), (3, False), (60, True)])
def test_only_a_loss_that_is_not_chance_starts_a_search(lost, searches, poisoned, feeds, caplog):
    """Of 546 texts, 3 are more than half a point; which 3 they are is chance."""
    drops = iter([paired_drop(share_of(first_wrong(0)), share_of(first_wrong(lost)), "agreement", 546)])
    with caplog.at_level("INFO"):
        _, decision = gate_int8(poisoned, feeds, lambda model: next(drops, PairedDrop(0.0, 1.0)), max_drop=0.5)
    assert decision.drop_before == pytest.approx(100 * lost / 546)
    assert (len(decision.kept_fp32) == 1) == searches
    assert ("may be chance" in caplog.text) == (lost == 3)
    assert ("looking for the operators" in caplog.text) == searches


def first_wrong(count):
    return np.arange(546) >= count


def test_operators_go_back_to_fp32_one_two_four_at_a_time_until_one_is_left(poisoned, feeds):
    tried = []

    def never_enough(model):
        tried.append(sum(node.op_type == "MatMulIntegerToFloat" for node in model.graph.node))
        # what cannot be measured is not within bounds either
        return PairedDrop(float("nan"), float("nan")) if len(tried) == 2 else PairedDrop(7.0, 0.04)

    with pytest.raises(VerificationError, match=r"7.00 points, more than the 0.5 allowed, with a single operator"):
        gate_int8(poisoned, feeds, never_enough, max_drop=0.5)
    assert tried[0] == 8
    assert tried == sorted(tried, reverse=True)
    assert tried[-1] <= 1  # the word embeddings are the ninth operator
    assert len(tried) == 5
    assert doublings(9) == [1, 2, 4, 8, 9]
    assert doublings(8) == [1, 2, 4, 8]
    assert doublings(1) == [1]
