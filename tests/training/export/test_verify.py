"""Verification: the checkpoint answers once, and a graph that differs from it, or by its batch, is refused."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import BertConfig

from app.tasks.text import TextEncoder
from app.window import Window
from tests.support.reference import reference_logits
from tests.support.tiny import TAGS, tiny_model, tiny_tokenizer
from training.export.verify import (
    LENGTH_MIXES,
    Drift,
    VerificationError,
    answers_of,
    check_drift,
    equal_batches,
    length_mixes,
    make_reference,
    measure_drift,
)

CAPACITY = 62  # of a window of 64 tokens


class Answering:
    """A session that answers each window with `reference_logits`, changed as a test says."""

    def __init__(self, model, change=lambda answer, windows: answer):
        self.model, self.change, self.batches = model, change, []

    def run(self, windows):
        self.batches.append(len(windows))
        answers = [reference_logits(self.model, "token-classification", window) for window in windows]
        return [self.change(answer, windows) for answer in answers]


def read(output, windows):
    return [logits[w.head_rows] for logits, w in zip(output.logits.numpy(), windows, strict=True)]


@pytest.fixture(scope="module")
def model():
    return tiny_model("token-classification", TAGS)


@pytest.fixture(scope="module")
def mixes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(folder)
    tokens = np.random.default_rng(0).integers(5, 300, 100).tolist()
    return length_mixes(tokens, TextEncoder(folder / "tokenizer.json", 64), lambda length: np.arange(0, length, 2))


@pytest.fixture(scope="module")
def reference(model, mixes):
    return make_reference(model, mixes, read)


def test_the_mixes_have_every_kind_of_batch(mixes):
    lengths = [[len(window) for window in mix] for mix in mixes]
    assert lengths == [[min(length, CAPACITY) + 2 for length in mix] for mix in LENGTH_MIXES]
    assert [3] in lengths  # a batch of one
    assert [64, 3, 3] in lengths  # heavy skew, and the longest window
    assert [7] * 32 in lengths
    assert list(range(3, 42)) in lengths
    assert all(window.head_rows.tolist() == list(range(0, len(window), 2)) for mix in mixes for window in mix)


def test_the_reference_is_what_the_checkpoint_answers_to_each_window_by_itself(model, mixes, reference):
    for windows, expected in zip(mixes, reference.expected, strict=True):
        for window, answer in zip(windows, expected, strict=True):
            np.testing.assert_allclose(answer, reference_logits(model, "token-classification", window), atol=1e-5)


def test_windows_are_stacked_with_those_of_their_length_only(monkeypatch):
    monkeypatch.setattr("training.export.verify.REFERENCE_TOKENS", 16)
    ids = {length: np.arange(5, 5 + length) for length in (4, 7, 40)}
    windows = [Window(ids[length], np.zeros(1, np.int64)) for length in (4, 7, 4, 40, 4, 40, 4, 4)]
    windows.append(Window(ids[4], np.zeros(1, np.int64), np.array([0, 0, 1, 1])))
    assert sorted(equal_batches(windows)) == [[0, 2, 4, 6], [1], [3], [5], [7], [8]]


def test_answers_come_in_the_order_of_the_windows_with_their_token_types():
    """What a checkpoint makes of token types is tested with the packed graphs of BERT."""
    seen = []

    class Recording:
        config = BertConfig(type_vocab_size=2)

        def __call__(self, **inputs):
            seen.append({name: value.tolist() for name, value in inputs.items()})
            return inputs["input_ids"].numpy()

    pair = Window(np.array([1, 2]), np.zeros(1, np.int64), np.array([0, 1]))
    windows = [Window(np.array([n] * n), np.zeros(1, np.int64)) for n in (3, 2, 3)]
    answers = answers_of(Recording(), [*windows, pair], lambda output, some: list(output))
    assert [answer.tolist() for answer in answers] == [[3] * 3, [2] * 2, [3] * 3, [1, 2]]
    assert [each for each in seen if "token_type_ids" in each] == [{"input_ids": [[1, 2]], "token_type_ids": [[0, 1]]}]


def test_a_graph_that_answers_as_the_checkpoint_does_passes(model, mixes, reference):
    session = Answering(model)
    drift = measure_drift(session, reference)
    assert drift.greatest < 1e-5
    assert drift.batch_dependence == 0.0
    check_drift(drift, "fp32")
    assert sorted(session.batches) == sorted([*map(len, mixes), *[1] * sum(map(len, mixes))])


def test_the_precisions_but_fp32_may_differ_from_the_checkpoint(model, reference):
    drift = measure_drift(Answering(model, lambda answer, _: answer + 0.01), reference)
    assert drift.greatest == pytest.approx(0.01, rel=0.01)
    assert drift.mean == pytest.approx(0.01, rel=0.01)
    check_drift(drift, "int8")
    with pytest.raises(VerificationError, match=r"the fp32 graph is off by 0.01, more than 1e-04"):
        check_drift(drift, "fp32")


def test_answers_that_depend_on_their_batch_are_refused_in_any_precision(model, reference):
    drift = measure_drift(Answering(model, lambda answer, windows: answer + 0.001 * (len(windows) > 1)), reference)
    assert drift.batch_dependence == pytest.approx(0.001, rel=0.01)
    with pytest.raises(VerificationError, match=r"int8 answers move by 0.001 with their batch"):
        check_drift(drift, "int8")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_is_not_a_number_is_refused(precision, model, reference):
    drift = measure_drift(
        Answering(model, lambda answer, windows: np.where(len(windows) == 3, np.nan, answer)), reference
    )
    with pytest.raises(VerificationError):
        check_drift(drift, precision)


def test_nothing_within_tolerance_is_refused():
    check_drift(Drift(greatest=1e-4, mean=0.0, batch_dependence=1e-4), "fp32")


def test_an_answer_of_another_shape_is_refused(model, reference):
    with pytest.raises(VerificationError, match=r"the graph answers \(1, 5\) where the checkpoint has \(2, 5\)"):
        measure_drift(Answering(model, lambda answer, _: answer[:1]), reference)
