"""Zero-shot classification: scores of transformers' pipeline, one batch of pairs, and what bad input gets."""

import numpy as np
import pytest
from pydantic_core import to_json

from app.errors import InvalidRequestError, RequestTooLargeError
from app.serving.parsing import Bounds, parse
from app.tasks.text import TextEncoder
from app.tasks.zero_shot import MOST_LABELS, ZeroShot, ZeroShotRequest
from tests.app.builders import decoded, make_encoder, make_graph, make_manifest, serve_checkpoint

NLI = ("contradiction", "neutral", "entailment")
TEXT = "Ada Byron met Bob in Paris ."
LABELS = ["travel", "a film", "Rome", "good"]


def task_of(encoder, labels=NLI, **fields):
    return ZeroShot(make_manifest(labels=labels, **fields), encoder, make_graph())


@pytest.fixture(scope="module")
def nli(encoder):
    return task_of(encoder)


def body(inputs=TEXT, labels=LABELS, **parameters):
    return {"inputs": inputs, "parameters": {"candidate_labels": labels, **parameters}}


def read(fields):
    return parse(to_json(fields), ZeroShotRequest, Bounds(1024, 10**6))


def ask(task, fields, logits):
    """Return the answer where each pair, in order, has these logits."""
    request = read(fields)
    return decoded(task, request, task.encode(request), [np.array([row], np.float32) for row in logits])


# --- Scores ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[NLI, ("ENTAILMENT", "NOT_ENTAILMENT"), ("not_entailment", "Entailed")], ids=str)
def checkpoint(request, tmp_path_factory):
    from tests.support.tiny import save_checkpoint, tiny_model

    model = tiny_model("text-classification", list(request.param))
    model.config.label2id = {label: number for number, label in enumerate(request.param)}
    return save_checkpoint(model, tmp_path_factory.mktemp("nli"))


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("labels", [LABELS, LABELS[:1], "travel, a film,Rome ,, good"], ids=["list", "one", "text"])
def test_scores_are_those_of_the_pipeline(checkpoint, labels, multi_label):
    from transformers import pipeline

    asked = {"candidate_labels": labels, "hypothesis_template": "a {} film .", "multi_label": multi_label}
    expected = pipeline("zero-shot-classification", model=str(checkpoint), device="cpu")([TEXT, "bad"], **asked)
    serve = serve_checkpoint(checkpoint, ZeroShot)
    answers = serve({"inputs": [TEXT, "bad"], "parameters": {**asked, "answer": "object"}})

    assert [list(answer) for answer in answers] == [["sequence", "labels", "scores"]] * 2
    for ours, theirs in zip(answers, expected, strict=True):
        assert (ours["sequence"], ours["labels"]) == (theirs["sequence"], theirs["labels"])
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)
    entries = serve({"inputs": TEXT, "parameters": asked})
    assert [entry["label"] for entry in entries] == answers[0]["labels"]
    assert [entry["score"] for entry in entries] == answers[0]["scores"]


def test_great_logits_do_not_overflow(nli):
    (first, second) = ask(nli, body(labels=["a", "b"]), [[0, 0, -2e4], [0, 0, 2e4]])
    assert first == {"label": "b", "score": 1.0}
    assert second == {"label": "a", "score": 0.0}


def test_windows_of_a_long_text_are_combined_as_the_manifest_says(encoder):
    task = task_of(encoder, pooling="max")
    request = read(body(labels=["a", "b"], inputs="a good film " * 40))
    windows = task.encode(request).windows
    outputs = [np.array([[0.0, 0.0, number]], np.float32) for number in range(len(windows))]
    best, _ = decoded(task, request, task.encode(request), outputs)
    assert best["label"] == "b"
    assert best["score"] == pytest.approx(1 / (1 + np.exp(-len(windows) / 2)))


# --- Windows --------------------------------------------------------------------------------------------


def test_a_request_is_one_batch_of_pairs_and_each_text_is_tokenized_once(nli, monkeypatch):
    tokenized = []
    tokens_of = nli.encoder.texts.tokens_of

    def watched(texts, **how):
        tokenized.extend(texts)
        return tokens_of(texts, **how)

    monkeypatch.setattr(nli.encoder.texts, "tokens_of", watched)
    labels = [f"label {number}" for number in range(20)]
    encoded = nli.encode(read(body(labels=labels, inputs=[TEXT, "good"])))
    assert len(encoded.windows) == 40
    assert tokenized == [TEXT, *(f"This example is {label}." for label in labels), "good"]


def test_a_window_is_the_pair_as_the_tokenizer_frames_it(nli, bert_encoder):
    for task in (nli, task_of(bert_encoder)):
        tokenizer = task.encoder.tokenizer
        (window,) = task.encode(read(body(labels=["is"]))).windows
        expected = tokenizer.encode(TEXT, "This example is is.")
        assert window.input_ids.tolist() == expected.ids
        assert window.token_type_ids.tolist() == expected.type_ids
        assert window.head_rows.tolist() == [0]


def test_a_long_text_has_several_windows_each_with_the_whole_hypothesis(nli):
    text, hypothesis = "a good film " * 60, "a hypothesis that is longer than a premise ."
    encoded = nli.encode(read(body(inputs=[text, "bad"], labels=["premise"], hypothesis_template=hypothesis + " {}")))
    ending = nli.encoder.tokenizer.encode(f"{hypothesis} premise", add_special_tokens=False).ids
    ending += nli.encoder.special.pair_suffix
    assert len(encoded.windows) > 3
    for window in encoded.windows:
        assert len(window) <= nli.encoder.max_length
        assert window.input_ids[-len(ending) :].tolist() == ending
    (short,) = nli.encode(read({**body(inputs=text, labels=["premise"], max_length=40), "truncate": True})).windows
    assert len(short) == 40


# --- Clients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("unknown/None; hf_hub/0.20.3; python/3.11.7", "object"),
        ("unknown/None; hf_hub/1.1.4; python/3.11.7; torch/2.9.0", "object"),
        ("unknown/None; hf_hub/1.1.5; python/3.11.7", None),
        ("transformers/5.1.0; hf_hub/2.4.0; python/3.11.7", None),
        ("@huggingface/inference/4.13.30", None),
        ("", None),
    ],
)
def test_versions_of_the_client_that_read_another_form_get_it(name, answer):
    assert read(body()).for_client(name).parameters.answer == answer
    assert read(body(answer="list")).for_client(name).parameters.answer == "list"


# --- What bad input gets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"inputs": TEXT}, "parameters: is missing"),
        ({"inputs": TEXT, "candidate_labels": ["a"]}, "candidate_labels: unknown field here; it belongs into"),
        ({"inputs": TEXT, "parameters": {}}, "parameters.candidate_labels: is missing"),
        (body(labels=[]), "parameters.candidate_labels: List should have at least 1 item"),
        (body(labels=" , "), "parameters.candidate_labels: has no label"),
        (body(labels=["a", " "]), "parameters.candidate_labels.1: the text is empty"),
        (body(labels=["a", "b", "a"]), "parameters.candidate_labels: has 'a' twice"),
        (body(labels="a, b,a"), "parameters.candidate_labels: has 'a' twice"),
        (body(labels=3), "parameters.candidate_labels: must be a list of labels, or a text with commas"),
        (body(labels=[f"{i}" for i in range(1000)]), f"should have at most {MOST_LABELS} items"),
        (body(labels=["a" * 1001]), "should have at most 1000 characters"),
        (body(labels=",".join(map(str, range(1000)))), f"has 1000 labels; at most {MOST_LABELS} are taken at once"),
        (body(hypothesis_template="This is it."), "hypothesis_template: has no {}, where the label is to stand"),
        (body(hypothesis_template="{0.__class__}"), "hypothesis_template: has no {}"),
        (body(inputs=" "), "inputs: the text is empty"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(fields, sentence):
    with pytest.raises(InvalidRequestError) as caught:
        read(fields)
    assert sentence in str(caught.value)


def test_a_template_is_no_format_string(nli):
    request = read(body(labels=["a"], hypothesis_template="{} {x!r:>9} {}"))
    assert request.hypotheses() == ["a {x!r:>9} a"]


def test_a_hypothesis_that_leaves_no_room_is_refused(nli):
    with pytest.raises(InvalidRequestError, match="the hypothesis of a label leaves the text too little of a window"):
        nli.encode(read(body(labels=["word " * 60])))


def test_as_many_pairs_as_one_request_may_have_tokens_for(byte_level, tmp_path):
    make_encoder(byte_level, tmp_path)
    task = task_of(TextEncoder(tmp_path / "tokenizer.json", 64, 4000))
    labels = [f"label {number}" for number in range(100)]
    task.encode(read(body(labels=labels, inputs="a")))
    for inputs in ("a good film " * 9, ["a"] * 1000):
        with pytest.raises(RequestTooLargeError, match="the request has more than 4000 tokens"):
            task.encode(read(body(labels=labels, inputs=inputs)))


def test_what_is_tokenized_is_counted_once_and_how_often_it_is_repeated():
    request = read(body(inputs=["abc", "de"], labels=["x", "yz"], hypothesis_template="is {}"))
    assert request.count_characters() == len("abc" + "de" + "is x" + "is yz")
    assert request.repeats() == 2


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (NLI, None),
        (("LABEL_0", "Entails"), None),
        (("a", "b"), "has no label that begins with 'entail'; its labels are a, b"),
        (("not_entailment", "x"), "its labels are not_entailment, x"),
        ([f"l{i}" for i in range(999)], "l18, l19, ..."),
    ],
)
def test_a_model_without_entailment_is_refused_with_its_labels(labels, reason):
    found = ZeroShot.reason_against(make_manifest(labels=labels))
    assert found is None if reason is None else found.endswith(reason)
