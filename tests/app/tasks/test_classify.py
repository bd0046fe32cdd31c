"""Classification: from logits to labels, pooling of windows, pairs, and the same answers as Hugging Face's."""

import numpy as np
import pytest
from pydantic import ValidationError

from app.errors import InvalidRequestError, RequestTooLargeError
from app.tasks.classify import Classify, ClassifyRequest
from tests.app.builders import decoded, make_encoder, make_graph, make_manifest, serve_checkpoint, wordpiece_tokenizer

LOGITS = np.array([[1.0, 3.0, 2.0]], np.float32)
SOFTMAX = {"a": 0.09003057, "b": 0.66524096, "c": 0.24472847}
SIGMOID = {"a": 0.7310586, "b": 0.95257413, "c": 0.880797}
NONE = {"a": 1.0, "b": 3.0, "c": 2.0}


def make_request(inputs, truncate=False, **parameters):
    return ClassifyRequest.model_validate({"inputs": inputs, "parameters": parameters, "truncate": truncate})


def make_task(encoder, temperature=1.0, thresholds=None, **fields):
    return Classify(make_manifest(**fields), encoder, make_graph(temperature=temperature, thresholds=thresholds))


def answer(task, request, logits=LOGITS):
    """Give every window of the request the same logits."""
    encoded = task.encode(request)
    return decoded(task, request, encoded, [logits] * len(encoded.windows))


def scores(entries):
    return {entry["label"]: entry["score"] for entry in entries}


# --- From logits to scores ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem_type", "function", "expected"),
    [
        ("single_label_classification", None, SOFTMAX),
        ("multi_label_classification", None, SIGMOID),
        ("regression", None, NONE),
        (None, None, SOFTMAX),
        ("single_label_classification", "sigmoid", SIGMOID),
        ("single_label_classification", "none", NONE),
        ("multi_label_classification", "softmax", SOFTMAX),
        ("regression", "sigmoid", SIGMOID),
    ],
)
def test_the_function_is_the_problems_or_the_callers(problem_type, function, expected, encoder):
    task = make_task(encoder, problem_type=problem_type)
    (entries,) = answer(task, make_request("a film", function_to_apply=function))
    assert [entry["label"] for entry in entries] == ["b", "c", "a"]
    assert scores(entries) == pytest.approx(expected, abs=1e-6)


THRESHOLDS = {"a": 0.9, "b": 0.9, "c": 0.1}  # SIGMOID: a fails, b and c pass


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["b", "c"]),
        ({"threshold": 0.0}, ["b", "c", "a"]),
        ({"threshold": 0.9}, ["b"]),
        ({"threshold": 1.0}, []),
        ({"top_k": 3}, ["b", "c", "a"]),
        ({"top_k": 3, "threshold": 0.9}, ["b"]),
        ({"function_to_apply": "none"}, ["b", "c", "a"]),
    ],
    ids=str,
)
def test_a_multi_label_answer_holds_the_labels_that_reach_their_threshold(parameters, expected, encoder):
    task = make_task(encoder, problem_type="multi_label_classification", thresholds=THRESHOLDS)
    (entries,) = answer(task, make_request("a film", **parameters))
    assert [entry["label"] for entry in entries] == expected


def test_one_label_without_a_problem_type_is_a_sigmoid(encoder):
    (entries,) = answer(make_task(encoder, labels=["spam"]), make_request("a"), np.array([[1.0]], np.float32))
    assert scores(entries) == {"spam": pytest.approx(0.7310586)}


@pytest.mark.parametrize(("function", "expected"), [("softmax", 0.50648039), ("sigmoid", 0.81757448), ("none", 3.0)])
def test_temperature_divides_logits_but_leaves_raw_ones_alone(function, expected, encoder):
    (entries,) = answer(make_task(encoder, temperature=2.0), make_request("a", function_to_apply=function))
    assert entries[0] == {"label": "b", "score": pytest.approx(expected, abs=1e-6)}


@pytest.mark.parametrize(("top_k", "expected"), [(None, "bca"), (1, "b"), (2, "bc"), (99, "bca")])
def test_top_k(top_k, expected, encoder):
    (entries,) = answer(make_task(encoder), make_request("a", top_k=top_k))
    assert "".join(entry["label"] for entry in entries) == expected


def test_equal_scores_keep_the_order_of_the_labels(encoder):
    (entries,) = answer(make_task(encoder), make_request("a"), np.zeros((1, 3), np.float32))
    assert [entry["label"] for entry in entries] == ["a", "b", "c"]


@pytest.mark.parametrize("scale", [1e4, -1e4])
@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
@pytest.mark.filterwarnings("error")
def test_great_logits_do_not_overflow(function, scale, encoder):
    (entries,) = answer(make_task(encoder), make_request("a", function_to_apply=function), LOGITS * np.float32(scale))
    assert all(0 <= entry["score"] <= 1 for entry in entries)


# --- Texts, lists and pairs -----------------------------------------------------------------------------


def test_always_a_list_per_input(encoder):
    task = make_task(encoder)
    pair = {"text": "a", "text_pair": "b"}
    assert [len(answer(task, make_request(i))) for i in ("a", ["a"], ["a", "b"], pair, [pair, "a"])] == [1, 1, 2, 1, 2]


def test_texts_and_pairs_of_one_request_keep_their_order(encoder, tokenizer):
    task = make_task(encoder)
    request = make_request(["Ada", {"text": "a", "text_pair": "Bob"}, "film"])
    windows = task.encode(request).windows
    expected = [tokenizer("Ada"), tokenizer("a", "Bob"), tokenizer("film")]
    assert [window.input_ids.tolist() for window in windows] == [row["input_ids"] for row in expected]
    assert all(window.head_rows.tolist() == [0] for window in windows)
    assert request.count_inputs() == 3
    assert request.count_characters() == 3 + 1 + 3 + 4


@pytest.mark.parametrize(
    "inputs", ["", "  ", [], ["a", ""], {"text_pair": "a"}, {"text": "a", "text_pair": ""}, 5, None, [["a"] * 3], [[]]]
)
def test_what_is_no_input_is_refused(inputs):
    with pytest.raises(ValidationError):
        make_request(inputs)


# --- Long texts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def short_encoder(byte_level, tmp_path_factory):
    """Windows of twelve tokens."""
    return make_encoder(byte_level, tmp_path_factory.mktemp("short"), max_length=12)


def test_a_long_text_is_answered_whole_or_truncated_when_asked(short_encoder):
    task = make_task(short_encoder)
    whole = task.encode(make_request("a good film " * 8))
    assert len(whole.windows) > 1
    assert whole.state == [[len(window) for window in whole.windows]]
    assert len(task.encode(make_request("a good film " * 8, truncate=True)).windows) == 1


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("mean", [(12 * 1 + 6 * 4) / 18, (12 * 8 + 6 * 2) / 18]), ("max", [4.0, 8.0]), ("first", [1.0, 8.0])],
)
def test_the_windows_of_a_text_are_pooled_as_the_manifest_says(pooling, expected, encoder):
    task = make_task(encoder, pooling=pooling, labels=["x", "y"])
    logits = np.array([[1, 8], [4, 2]], np.float32)  # a full window of 12 tokens, and one of 6
    request = make_request("a", function_to_apply="none")
    (entries,) = task.decode(request, [[12, 6]], [logits[:1], logits[1:]])
    assert scores(entries) == pytest.approx(dict(zip("xy", expected, strict=True)))


def test_each_text_is_pooled_from_its_own_windows(short_encoder):
    task = make_task(short_encoder, pooling="max", labels=["x"], problem_type="regression")
    request = make_request(["Ada", "a good film " * 8, "Bob"])
    encoded = task.encode(request)
    outputs = [np.array([[n]], np.float32) for n in range(len(encoded.windows))]
    answers = [entries[0]["score"] for entries in task.decode(request, encoded.state, outputs)]
    assert answers == [0, len(outputs) - 2, len(outputs) - 1]


def test_the_windows_of_a_long_pair_are_pooled(tmp_path):
    task = make_task(make_encoder(wordpiece_tokenizer(), tmp_path, max_length=16))
    request = make_request({"text": "a good play " * 8, "text_pair": "paris"})
    encoded = task.encode(request)
    assert len(encoded.windows) > 1
    assert len(answer(task, request)) == 1


# --- The same as Hugging Face ---------------------------------------------------------------------------

TEXTS = ["a good and lovely film", "  a bad film .", "Ada Byron met Bob in Paris", "café 😀", "東京"]


@pytest.fixture(scope="module")
def served(tiny_checkpoints):
    return serve_checkpoint(tiny_checkpoints["classify"])


@pytest.mark.parametrize("function", [None, "softmax", "sigmoid", "none"])
def test_answers_are_those_of_the_transformers_pipeline(function, served, tiny_checkpoints):
    from transformers import pipeline

    answers = served({"inputs": TEXTS, "parameters": {"function_to_apply": function}})
    ask = pipeline("text-classification", model=str(tiny_checkpoints["classify"]), device="cpu")
    for text, entries in zip(TEXTS, answers, strict=True):
        expected = ask(text, top_k=None, function_to_apply=function)
        assert [entry["label"] for entry in entries] == [entry["label"] for entry in expected]
        assert scores(entries) == pytest.approx(scores(expected), abs=1e-4)


def test_pairs_are_answered_as_by_the_transformers_pipeline(served, tiny_checkpoints):
    from transformers import pipeline

    pair = {"text": "a good film", "text_pair": "Ada met Bob"}
    (entries,) = served({"inputs": pair})
    ask = pipeline("text-classification", model=str(tiny_checkpoints["classify"]), device="cpu")
    assert scores(entries) == pytest.approx(scores(ask(pair, top_k=None)), abs=1e-4)


# --- Clients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "inputs", "refused"),
    [
        ("unknown/None; hf_hub/2.4.1; python/3.11", ["a", "b"], True),
        ("@huggingface/inference/4.13.30 Node.js/20", ["a", "b"], True),
        ("unknown/None; hf_hub/2.4.1; python/3.11", [["a", "b"]], False),
        ("unknown/None; hf_hub/2.4.1; python/3.11", "a", False),
        ("python-httpx/0.28.1", ["a", "b"], False),
        ("", ["a", "b"], False),
    ],
)
def test_a_client_that_would_drop_answers_gets_none(client, inputs, refused):
    request = make_request(inputs)
    if not refused:
        assert request.for_client(client) is request
        return
    with pytest.raises(InvalidRequestError, match="the answer to the first text alone"):
        request.for_client(client)


# --- Bounds -----------------------------------------------------------------------------------------------


def test_an_answer_with_too_many_scores_is_refused(encoder, monkeypatch):
    monkeypatch.setattr("app.tasks.classify.MOST_SCORES", 6)
    task = make_task(encoder)
    assert task.encode(make_request(["a"] * 2)).windows
    assert task.encode(make_request(["a"] * 3, top_k=2)).answer_bytes == 3 * 3 * 4 + 6 * 64
    with pytest.raises(RequestTooLargeError, match="9 scores, at most 6 are sent"):
        task.encode(make_request(["a"] * 3))
