"""Bodies: whatever is wrong is refused with a sentence that names the place."""

import codecs
import json

import pytest
from pydantic import ValidationError

from app.errors import InvalidRequestError, MalformedBodyError
from app.serving import parsing
from app.serving.parsing import Bounds, json_of
from app.tasks import TASKS
from app.tasks.classify import ClassifyRequest
from app.tasks.fill_mask import FillMaskRequest
from app.tasks.ner import NerRequest

BOUNDS = Bounds(inputs=1024, characters=1_000_000)


def parse(body, request_type, bounds=BOUNDS):
    return parsing.parse(body, request_type, bounds)


CLASSIFY = [
    ({}, "inputs: is missing"),
    ({"inputs": ""}, "inputs: the text is empty"),
    ({"inputs": " \n\t"}, "inputs: the text is empty"),
    ({"inputs": 5}, "inputs: must be a text or a list of texts"),
    ({"inputs": None}, "inputs: must be a text or a list of texts"),
    ({"inputs": []}, "inputs: List should have at least 1 item"),
    ({"inputs": ["a", ""]}, "inputs.1: the text is empty"),
    ({"inputs": ["a", 5]}, 'inputs.1: must be a text, {"text", "text_pair"} or a list of two texts'),
    ({"inputs": {"text_pair": "a"}}, "inputs.text: is missing"),
    ({"inputs": [["a", "b", "c"]]}, "inputs.0: List should have at most 2 items"),
    ({"inputs": [["a", " "]]}, "inputs.0.1: the text is empty"),
    ({"inputs": {"text": "a", "text_pair": "b", "c": 1}}, "inputs.c: unknown field"),
    ({"inputs": [{"text": "a", "text_pair": 1}]}, "inputs.0.text_pair: Input should be a valid string"),
    ({"inputs": "a", "input": "b"}, "input: unknown field; inputs may be meant"),
    ({"input": "b"}, "input: unknown field; inputs may be meant"),
    ({"inputs": "a", "parameters": {"topk": 1}}, "parameters.topk: unknown field; top_k may be meant"),
    ({"inputs": "a", "top_k": 1}, "top_k: unknown field here; it belongs into parameters"),
    (
        {"inputs": "a", "parameters": {"raw_scores": True}},
        "parameters.raw_scores: unknown field here; it belongs beside",
    ),
    ({"text": "a"}, "text: unknown field here; it belongs into inputs"),
    ({"inputs": {"text": "a", "top_k": 1}}, "inputs.top_k: unknown field here; it belongs into parameters"),
    ({"inputs": "a", "xyzzy": 1}, "xyzzy: unknown field"),
    ({"inputs": "a", "options": 1}, "options: Input should be an object"),
    (
        {"inputs": "a", "parameters": {"truncation": "only_second"}},
        "parameters.truncation: Input should be 'longest_first'",
    ),
    ({"inputs": "a", "parameters": {"max_length": 7}}, "parameters.max_length: Input should be greater than or equal"),
    ({"inputs": "a", "truncation_direction": "left"}, "truncation_direction: Input should be 'right' or 'Right'"),
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
    ({"inputs": [["a", 1]]}, "inputs.0.1: Input should be a valid string"),
    ({"inputs": [5]}, "inputs.0: must be a text or a list of its words"),
    ({"inputs": "a", "parameters": {"offset_unit": "bytes"}}, "parameters.offset_unit: Input should be 'code_point', "),
    ({"inputs": "a", "parameters": {"stride": -1}}, "parameters.stride: Input should be greater than or equal to 0"),
    (
        {"inputs": "a", "parameters": {"aggregation_strategy": "best"}},
        "parameters.aggregation_strategy: Input should be 'none', 'simple', 'first', 'average' or 'max'",
    ),
    ({"inputs": "a", "parameters": {"ignore_labels": "O"}}, "parameters.ignore_labels: Input should be a valid array"),
]
FILL_MASK = [
    ({"inputs": "a", "parameters": {"targets": []}}, "parameters.targets: List should have at least 1 item"),
    ({"inputs": "a", "parameters": {"targets": 5}}, "parameters.targets: must be a word or a list of words"),
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


NAMED = [
    (b"", 'the body is empty; send JSON, such as {"inputs": "a text"}'),
    (b" \n", "the body is empty"),
    (codecs.BOM_UTF8, "the body is empty"),
    ('{"inputs": "a"}'.encode("utf-16"), "the body is in UTF-16 or UTF-32; send JSON in UTF-8"),
    ('{"inputs": "a"}'.encode("utf-16-be"), "the body is in UTF-16 or UTF-32"),
    ('{"inputs": "a"}'.encode("utf-16-le"), "the body is in UTF-16 or UTF-32"),
    ('{"inputs": "a"}'.encode("utf-32"), "the body is in UTF-16 or UTF-32"),
]


@pytest.mark.parametrize(("body", "message"), NAMED, ids=range(len(NAMED)))
def test_what_is_easily_seen_to_be_no_json_is_named(body, message):
    with pytest.raises(MalformedBodyError) as refused:
        parse(body, ClassifyRequest)
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.route)
def test_a_byte_order_mark_before_json_is_skipped(task):
    body = json.dumps(task.example).encode()
    assert parse(codecs.BOM_UTF8 + body, task.request_type) == parse(body, task.request_type)


def test_a_message_does_not_quote_the_text():
    with pytest.raises(InvalidRequestError) as refused:
        parse(b'{"inputs": ["a", {"text": "a secret", "text_pair": 1}]}', ClassifyRequest)
    assert "secret" not in refused.value.message


def test_a_long_field_name_is_cut():
    with pytest.raises(InvalidRequestError) as refused:
        parse(json.dumps({"inputs": "a", "x" * 10_000: 1}).encode(), ClassifyRequest)
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("text", ["a\x00b", "é 😀", "\u200b", "x" * 100_000], ids=lambda text: ascii(text)[:20])
def test_strange_texts_are_texts(text):
    assert parse(json.dumps({"inputs": text}).encode(), ClassifyRequest).inputs == text


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.route)
def test_null_is_not_given_in_every_field(task):
    kind, parameters = task.request_type, task.request_type.model_fields["parameters"].annotation
    plain = kind.model_validate(task.example)
    said = dict.fromkeys(kind.model_fields) | task.example
    assert parse(json.dumps(said).encode(), kind) == plain
    said["parameters"] = dict.fromkeys(parameters.model_fields) | task.example.get("parameters", {})
    assert parse(json.dumps(said).encode(), kind) == plain


def test_a_number_without_a_fraction_is_whole():
    body = b'{"inputs": "a", "parameters": {"top_k": 2.0, "max_length": 16.0}}'
    assert parse(body, ClassifyRequest).parameters.top_k == 2
    assert parse(b'{"inputs": "a", "parameters": {"stride": 16.0}}', NerRequest).parameters.stride == 16
    assert parse(b'{"inputs": "a", "parameters": {"top_k": 2e0}}', FillMaskRequest).parameters.top_k == 2
    with pytest.raises(InvalidRequestError, match=r"^parameters\.top_k: Input should be a valid integer"):
        parse(b'{"inputs": "a", "parameters": {"top_k": 2.5}}', ClassifyRequest)


@pytest.mark.parametrize("options", [{}, {"wait_for_model": True, "use_cache": False}, {"a": [{"b": ":"}]}], ids=str)
def test_options_of_hugging_face_s_own_service_are_taken_and_mean_nothing(options):
    body = json.dumps({"inputs": "a", "options": options}).encode()
    assert parse(body, ClassifyRequest).items() == parse(b'{"inputs": "a"}', ClassifyRequest).items()


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
