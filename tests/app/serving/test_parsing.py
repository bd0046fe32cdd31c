"""Bodies: whatever is wrong is refused with a sentence that names the place."""

import json

import pytest
from pydantic import ValidationError

from app.errors import InvalidRequestError, MalformedBodyError
from app.serving.parsing import json_of, parse
from app.tasks.classify import ClassifyRequest
from app.tasks.fill_mask import FillMaskRequest
from app.tasks.ner import NerRequest

CLASSIFY = [
    ({}, "inputs: is missing"),
    ({"inputs": ""}, "inputs: the text is empty"),
    ({"inputs": " \n\t"}, "inputs: the text is empty"),
    ({"inputs": 5}, "inputs: must be a text or a list of texts"),
    ({"inputs": None}, "inputs: must be a text or a list of texts"),
    ({"inputs": []}, "inputs: List should have at least 1 item"),
    ({"inputs": ["a", ""]}, "inputs.1: the text is empty"),
    ({"inputs": ["a", 5]}, 'inputs.1: must be a text or {"text", "text_pair"}'),
    ({"inputs": {"text": "a"}}, "inputs.text_pair: is missing"),
    ({"inputs": {"text": "a", "text_pair": "b", "c": 1}}, "inputs.c: unknown field"),
    ({"inputs": [{"text": "a", "text_pair": 1}]}, "inputs.0.text_pair: Input should be a valid string"),
    ({"inputs": "a", "input": "b"}, "input: unknown field"),
    ({"inputs": "a", "parameters": {"topk": 1}}, "parameters.topk: unknown field"),
    ({"inputs": "a", "parameters": {"top_k": 0}}, "parameters.top_k: Input should be greater than or equal to 1"),
    ({"inputs": "a", "parameters": {"top_k": "1"}}, "parameters.top_k: Input should be a valid integer"),
    ({"inputs": "a", "parameters": {"top_k": True}}, "parameters.top_k: Input should be a valid integer"),
    (
        {"inputs": "a", "parameters": {"function_to_apply": "relu"}},
        "parameters.function_to_apply: Input should be 'softmax', 'sigmoid' or 'none'",
    ),
    ({"inputs": "a", "truncate": "yes"}, "truncate: Input should be a valid boolean"),
    ({"inputs": "a", "model": 5}, "model: Input should be a valid string"),
    ([], "body: Input should be an object"),
    ("a", "body: Input should be an object"),
    (None, "body: Input should be an object"),
]
NER = [
    ({"inputs": {"text": "a", "text_pair": "b"}}, "inputs: must be a text or a list of texts"),
    ({"inputs": [["a"]]}, "inputs.0: Input should be a valid string"),
    ({"inputs": "a", "parameters": {"stride": -1}}, "parameters.stride: Input should be greater than or equal to 0"),
    (
        {"inputs": "a", "parameters": {"aggregation_strategy": "best"}},
        "parameters.aggregation_strategy: Input should be 'none', 'simple', 'first', 'average' or 'max'",
    ),
    ({"inputs": "a", "parameters": {"ignore_labels": "O"}}, "parameters.ignore_labels: Input should be a valid array"),
]
FILL_MASK = [
    ({"inputs": "a", "parameters": {"targets": []}}, "parameters.targets: List should have at least 1 item"),
    ({"inputs": "a", "parameters": {"targets": ["a", 1]}}, "parameters.targets.1: Input should be a valid string"),
    ({"inputs": "a", "parameters": {"top_k": 2000}}, "parameters.top_k: Input should be less than or equal to 1000"),
]
TABLES = ((ClassifyRequest, CLASSIFY), (NerRequest, NER), (FillMaskRequest, FILL_MASK))
BAD = [pytest.param(kind, *case, id=f"{kind.__name__} {case[1]}") for kind, table in TABLES for case in table]


@pytest.mark.parametrize(("kind", "body", "message"), BAD)
def test_a_bad_body_is_refused_with_the_fields_name(kind, body, message):
    with pytest.raises(InvalidRequestError) as refused:
        parse(json.dumps(body).encode(), kind)
    assert refused.value.message.startswith(message)
    assert "\n" not in refused.value.message


NOT_JSON = [
    b"",
    b"{",
    b"{'inputs': 'a'}",
    b'{"inputs": "\xff"}',
    b'{"inputs": "a"} x',
    b'{"inputs": "\\ud800"}',
    b"nil",
]


@pytest.mark.parametrize("body", NOT_JSON, ids=repr)
def test_what_is_not_json_in_utf8_is_malformed(body):
    with pytest.raises(MalformedBodyError, match="the body is not valid JSON in UTF-8: "):
        parse(body, ClassifyRequest)


def test_a_message_does_not_quote_the_text():
    with pytest.raises(InvalidRequestError) as refused:
        parse(b'{"inputs": ["a", {"text": "a secret"}]}', ClassifyRequest)
    assert "secret" not in refused.value.message


def test_a_long_field_name_is_cut():
    with pytest.raises(InvalidRequestError) as refused:
        parse(json.dumps({"inputs": "a", "x" * 10_000: 1}).encode(), ClassifyRequest)
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("text", ["a\x00b", "é 😀", "\u200b", "x" * 100_000], ids=lambda text: ascii(text)[:20])
def test_strange_texts_are_texts(text):
    assert parse(json.dumps({"inputs": text}).encode(), ClassifyRequest).inputs == text


def test_nulls_are_defaults():
    body = b'{"inputs": "a", "model": null, "parameters": {"top_k": null, "function_to_apply": null}}'
    assert parse(body, ClassifyRequest) == ClassifyRequest(inputs="a")


@pytest.mark.parametrize("item", [1, "", " "])
def test_of_a_list_only_the_first_fault_is_looked_for(item):
    body = json.dumps({"inputs": ["a", *[item] * 1000]}).encode()
    for request_type in (ClassifyRequest, NerRequest, FillMaskRequest):
        with pytest.raises(ValidationError) as refused:
            request_type.model_validate_json(body)
        assert refused.value.error_count() == 1
        with pytest.raises(InvalidRequestError, match=r"^inputs\.1: "):
            parse(body, request_type)


def test_a_mapping_is_read_as_the_json_that_it_would_be():
    body = {"inputs": ("a", "b"), "parameters": {"top_k": 2}}
    assert parse(json_of(body), ClassifyRequest) == parse(json.dumps(body).encode(), ClassifyRequest)


@pytest.mark.parametrize("value", [object(), "\ud800", {"a": {1, object()}}], ids=ascii)
def test_a_mapping_that_json_cannot_carry_is_malformed(value):
    with pytest.raises(MalformedBodyError, match="values that JSON cannot carry"):
        json_of({"inputs": value})
