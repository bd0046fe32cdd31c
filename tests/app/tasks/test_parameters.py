"""Hugging Face's and Text Embeddings Inference's words for what this service calls otherwise."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequestError
from app.tasks.classify import ClassifyRequest
from app.tasks.fill_mask import FillMaskRequest
from app.tasks.ner import NerRequest
from tests.app.builders import make_encoder
from tests.app.tasks import test_classify, test_fill_mask, test_ner

LONG = "a good film " * 12
THRESHOLDS = {"a": 0.9, "b": 0.9, "c": 0.1}


@pytest.fixture(scope="module")
def short_encoder(byte_level, tmp_path_factory):
    """Windows of twelve tokens."""
    return make_encoder(byte_level, tmp_path_factory.mktemp("short"), max_length=12)


def lengths(task, request_type, inputs, **fields):
    request = request_type.model_validate({"inputs": inputs, **fields})
    return [len(window) for window in task.encode(request).windows]


TRUNCATED = [
    ({"truncate": True}, [12]),
    ({"parameters": {"truncation": True}}, [12]),
    ({"parameters": {"truncation": "longest_first"}}, [12]),
    ({"parameters": {"truncation": "only_first"}}, [12]),
    ({"truncate": False, "parameters": {"truncation": True}}, [12]),
    ({"truncate": True, "truncation_direction": "Right"}, [12]),
    ({"parameters": {"truncation": True, "max_length": 512}}, [12]),
    ({"parameters": {"truncation": True, "max_length": 8}}, [8]),
    ({"truncate": True, "parameters": {"max_length": 8.0}}, [8]),
    ({"parameters": {"max_length": 8}}, [8]),
]
WHOLE = [
    *({}, {"parameters": {"truncation": False}}, {"parameters": {"truncation": "do_not_truncate"}}),
    *({"parameters": {"truncation": None}}, {"parameters": {"truncation": False, "max_length": 8}}),
]
TASKS = [
    (test_classify.make_task, ClassifyRequest, LONG),
    (test_ner.make_task, NerRequest, LONG),
    (test_fill_mask.make_task, FillMaskRequest, f"<mask> {LONG}"),
    (test_classify.make_task, ClassifyRequest, {"text": "a", "text_pair": LONG}),
]


@pytest.mark.parametrize(("make_task", "request_type", "text"), TASKS, ids=["classify", "ner", "fill-mask", "pair"])
def test_a_text_is_truncated_by_any_name_of_it(make_task, request_type, text, short_encoder):
    task = make_task(short_encoder)
    for fields, expected in TRUNCATED:
        if isinstance(text, str) or "only_first" not in str(fields):
            assert lengths(task, request_type, text, **fields) == expected, fields
    for fields in WHOLE:
        assert lengths(task, request_type, text, **fields)[0] == 12, fields
    assert isinstance(text, str) or len(lengths(task, request_type, text)) > 1


def test_of_a_pair_the_first_text_is_not_cut_alone(encoder):
    with pytest.raises(InvalidRequestError, match=r"^parameters\.truncation: of a pair, the longer text is cut"):
        lengths(
            test_classify.make_task(encoder), ClassifyRequest, [["a", "b"]], parameters={"truncation": "only_first"}
        )


PAIR = {"text": "a", "text_pair": "Bob"}


@pytest.mark.parametrize(
    ("inputs", "same"),
    [
        ([["a", "Bob"]], [PAIR]),
        ([["a", "Bob"], PAIR, "film", ["film"], {"text": "film"}], [PAIR, PAIR, "film", "film", "film"]),
        ({"text": "film"}, "film"),
        ({"text": "film", "text_pair": None}, "film"),
        (["a", "Bob"], ["a", "Bob"]),  # two texts, as they always were
    ],
    ids=str,
)
def test_a_pair_may_be_a_list_and_a_text_an_object(inputs, same, encoder):
    task = test_classify.make_task(encoder)
    given, expected = test_classify.make_request(inputs), test_classify.make_request(same)
    assert given.count_inputs() == expected.count_inputs()
    assert given.count_characters() == expected.count_characters()
    for one, other in zip(task.encode(given).windows, task.encode(expected).windows, strict=True):
        assert one.input_ids.tolist() == other.input_ids.tolist()


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"parameters": {"return_all_scores": True}}, "bca"),
        ({"parameters": {"return_all_scores": False}}, "b"),
        ({"parameters": {"return_all_scores": None}}, "bc"),
        ({"parameters": {"return_all_scores": False, "top_k": 2}}, "bc"),
        ({"raw_scores": True}, "bca"),
        ({"raw_scores": False}, "bc"),
        ({"raw_scores": True, "parameters": {"function_to_apply": "softmax"}}, "bca"),
    ],
    ids=str,
)
def test_which_labels_are_answered_by_older_words(fields, labels, encoder):
    task = test_classify.make_task(encoder, problem_type="multi_label_classification", thresholds=THRESHOLDS)
    request = ClassifyRequest.model_validate({"inputs": "a film", **fields})
    (entries,) = test_classify.answer(task, request)
    assert "".join(entry["label"] for entry in entries) == labels
    is_raw = fields == {"raw_scores": True}
    assert (entries[0]["score"] == 3) is is_raw


@pytest.mark.parametrize(
    ("parameters", "strategy"),
    [
        ({}, "simple"),
        ({"grouped_entities": True}, "simple"),
        ({"grouped_entities": False}, "none"),
        ({"grouped_entities": False, "aggregation_strategy": "max"}, "max"),
        ({"aggregation_strategy": None}, "simple"),
    ],
    ids=str,
)
def test_entities_are_grouped_by_either_word(parameters, strategy):
    assert NerRequest.model_validate({"inputs": "a", "parameters": parameters}).parameters.strategy == strategy


@pytest.mark.parametrize("targets", ["good", "Ġgood", ["Ġgood"], ["good", "Ġgood"]], ids=str)
def test_a_target_may_be_a_word_or_a_token_as_the_vocabulary_writes_it(targets, encoder):
    task = test_fill_mask.make_task(encoder)
    request = test_fill_mask.make_request("a <mask>", targets=targets)
    (candidate,) = test_fill_mask.answer(task, request, test_fill_mask.prefer(task, "Ġgood"))
    assert candidate["token_str"] == " good"
    assert request.count_characters() == len("a <mask>") + sum(
        map(len, [targets] if isinstance(targets, str) else targets)
    )


def test_a_continuing_piece_of_wordpiece_is_a_target(bert_encoder):
    task = test_fill_mask.make_task(bert_encoder)
    piece = next(token for token in task.encoder.tokenizer.get_vocab() if token.startswith("##"))
    (candidate,) = test_fill_mask.answer(
        task, test_fill_mask.make_request("a [MASK]", targets=piece), test_fill_mask.prefer(task, piece)
    )
    assert candidate["token"] == task.encoder.tokenizer.token_to_id(piece)


@pytest.mark.parametrize("target", ["<mask>", "</s>", "<pad>"])
def test_a_special_token_is_no_target(target, encoder):
    with pytest.raises(InvalidRequestError, match=r"parameters\.targets\.0: is not one token"):
        test_fill_mask.make_task(encoder).encode(test_fill_mask.make_request("a <mask>", targets=target))
