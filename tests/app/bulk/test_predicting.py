"""The core: inputs to answers in order, whatever fails among them."""

import threading

import numpy as np
import pytest

from app.bulk.asking import Asking, all_fields
from app.bulk.batching import batches_of
from app.bulk.inputs import Unreadable
from app.bulk.predicting import CHUNKS_AHEAD, Predictor
from app.errors import InvalidRequestError
from app.tasks import MODEL_TASKS, task_named
from tests.app.builders import make_graph, make_manifest


class ToySession:
    """Logits are the number of tokens; a window of the token `poison` makes a batch fail."""

    max_batch_tokens = 32

    def __init__(self, poison=-1, nan=-1):
        self.batches, self.poison, self.nan = [], poison, nan
        self.lock = threading.Lock()

    def computed_tokens(self, windows, tokens, longest):
        return tokens

    def run(self, windows, *, runner=0):
        with self.lock:
            self.batches.append([len(window) for window in windows])
        if any(self.poison in window.input_ids for window in windows):
            raise RuntimeError("the forward pass failed")
        width = 3
        outputs = [np.full((1, width), len(window), np.float32) for window in windows]
        for window, output in zip(windows, outputs, strict=True):
            output[0, 0] += 1
            if self.nan in window.input_ids:
                output[:] = np.nan
        return outputs


def classify(encoder):
    return task_named("text-classification")(make_manifest(), encoder, make_graph())


@pytest.fixture
def predictor_of(encoder):
    def make(session=None, options=None, **limits):
        task = classify(encoder)
        limits = {"most_characters": 1000, **limits}
        return Predictor(task, session or ToySession(), Asking(task, options or {}), 2, **limits)

    return make


def answers(predictor, inputs):
    with predictor:
        return list(predictor.predict(inputs))


def test_answers_come_in_order_over_many_chunks(predictor_of):
    texts = ["good " * (1 + number % 9) for number in range(2000)]
    predictor = predictor_of(options={"function_to_apply": "none"})
    found = answers(predictor, texts)
    assert len(found) == 2000
    expected = [len(predictor.task.encoder.encode([text])[0].ids) + 3 for text in texts]
    assert [round(each.cells["score"]) for each in found] == expected


def test_a_batch_has_like_lengths_and_at_most_the_budget(predictor_of):
    session = ToySession()
    answers(predictor_of(session), ["good " * (1 + number % 6) for number in range(100)])
    assert all(sum(batch) <= session.max_batch_tokens for batch in session.batches)
    assert sum(max(batch) - min(batch) > 1 for batch in session.batches) <= 4


def test_batches_are_the_same_in_every_run():
    lengths = [5, 3, 9, 3, 3, 40, 1]
    batches = batches_of(lengths, 10, lambda windows, tokens, longest: tokens)
    assert batches == [[5], [2], [0, 1], [3, 4, 6]]
    padded = batches_of(lengths, 10, lambda windows, tokens, longest: windows * longest)
    assert padded == [[5], [2], [0, 1], [3, 4, 6]]


def test_a_bad_input_costs_nobody_else(predictor_of):
    inputs = [
        "good",
        "",
        Unreadable("line 3"),
        7,
        {"text": "a", "text_pair": "b"},
        {"text_pair": "a"},
        "x" * 1001,
        "\ud800",
    ]
    found = answers(predictor_of(), inputs)
    assert [each.error for each in found] == [
        None,
        "the text is empty",
        "line 3",
        'must be a text, {"text", "text_pair"} or a list of two texts',
        None,
        "text: is missing",
        "the text has 1,001 characters; at most 1,000 are taken",
        found[7].error,
    ]
    assert found[7].error
    assert found[0].cells["label"] == "a"


@pytest.mark.parametrize("how", ["poison", "nan"])
def test_an_input_on_which_the_model_fails_is_found(predictor_of, encoder, how):
    (bad,) = encoder.encode(["awful"])[0].ids[:1]
    session = ToySession(**{how: bad})
    found = answers(predictor_of(session), [*["good film"] * 20, "awful", *["good film"] * 20])
    assert [number for number, each in enumerate(found) if each.error] == [20]
    assert found[20].error == "the model failed on this input"
    assert found[0] == found[40]


def test_long_texts_are_answered_whole_unless_that_is_refused(predictor_of):
    long = "good film " * 60
    assert answers(predictor_of(), [long])[0].error is None
    refused = answers(predictor_of(is_strict=True), ["good", long])
    assert refused[0].error is None
    assert "windows of 64 tokens" in refused[1].error
    assert answers(predictor_of(is_strict=True, options={"truncate": True}), [long])[0].error is None


def test_few_chunks_are_read_ahead(predictor_of):
    taken = []

    def chunks():
        for number in range(50):
            taken.append(number)
            yield type("Chunk", (), {"inputs": ["good"]})

    with predictor_of() as predictor:
        for done, _ in enumerate(predictor.run(chunks())):
            assert len(taken) <= done + CHUNKS_AHEAD + 2


def test_ending_early_leaves_no_thread(predictor_of):
    before = threading.active_count()
    with predictor_of() as predictor:
        next(predictor.predict(["good"] * 5000))
    assert threading.active_count() == before


def test_options_are_those_of_the_task(encoder):
    task = classify(encoder)
    assert Asking(task, {"top_k": 1}).columns == {"label": str, "score": float}
    assert list(Asking(task, {}).columns) == ["label", "score", "labels"]
    with pytest.raises(InvalidRequestError, match="stride is not for text-classification, which has"):
        Asking(task, {"stride": 3})
    with pytest.raises(InvalidRequestError, match="top_k"):
        Asking(task, {"top_k": 0})


def test_every_parameter_of_every_task_that_has_models_may_be_asked_for():
    names = set(all_fields())
    for task in MODEL_TASKS.values():
        assert set(task.request_type.model_fields["parameters"].annotation.model_fields) <= names
    assert not names & {"inputs", "model", "parameters", "options"}
