"""Embeddings: windows joined, vectors cut and normalized, prompts, and every form of the answer."""

import base64

import numpy as np
import pytest
from pydantic import ValidationError
from pydantic_core import from_json

from app.bundle import BundleError
from app.errors import InvalidRequestError
from app.tasks.embed import Embed, EmbedRequest, EmbedSettings
from app.window import Window
from tests.app.builders import decoded, make_graph, make_manifest

WIDTH = 4
LONG = "the film is good " * 60  # several windows of 64 tokens


def make_task(encoder, **settings):
    known = {"dimensions": WIDTH, "normalize": False}
    manifest = make_manifest(task="feature-extraction", labels=(), task_settings=known | settings)
    Embed.check(manifest)
    return Embed(manifest, encoder, make_graph())


def make_request(inputs, **fields):
    return EmbedRequest.model_validate({"inputs": inputs, **fields})


def vector_of(window: Window):
    """Give a window a vector that depends on its tokens."""
    return np.sin(np.outer(window.input_ids, np.arange(1, WIDTH + 1)).sum(axis=0, keepdims=True)).astype(np.float32)


def answer(task, inputs, **fields):
    request = make_request(inputs, **fields)
    encoded = task.encode(request)
    return decoded(task, request, encoded, [vector_of(window) for window in encoded.windows])


def tokens_answer(task, inputs, **fields):
    """Answer token vectors that are the tokens' ids."""
    request = make_request(inputs, **fields)
    encoded = task.encode(request)
    rows = [np.repeat(w.input_ids[w.head_rows, None], WIDTH, axis=1).astype(np.float32) for w in encoded.windows]
    return decoded(task, request, encoded, rows)


# --- Vectors ----------------------------------------------------------------------------------------------


def test_one_text_and_many_are_answered_by_a_list_of_vectors(encoder):
    task = make_task(encoder)
    (one,) = answer(task, "a film")
    assert len(one) == WIDTH
    assert answer(task, ["a film", "Paris"])[0] == one


def test_a_long_text_is_the_mean_of_its_windows_weighted_by_tokens(encoder):
    task = make_task(encoder)
    windows = task.encode(make_request(LONG)).windows
    assert len(windows) > 2
    expected = np.average([vector_of(w)[0] for w in windows], axis=0, weights=[len(w) for w in windows])
    assert np.allclose(answer(task, ["a", LONG])[1], expected, atol=1e-6)
    (truncated,) = answer(task, LONG, truncate=True)
    assert np.allclose(truncated, vector_of(windows[0])[0], atol=1e-6)


@pytest.mark.parametrize("direction", ["left", "Left"])
def test_the_beginning_of_a_text_is_cut_off_where_that_is_asked_for(direction, encoder):
    task = make_task(encoder)
    (window,) = task.encode(make_request("Paris " + LONG, truncate=True, truncation_direction=direction)).windows
    assert len(window) == 64
    assert window.input_ids[-10:].tolist() == task.encode(make_request(LONG)).windows[-1].input_ids[-10:].tolist()
    request = make_request(LONG, truncation_direction=direction, parameters={"max_length": 16})
    assert [len(window) for window in task.encode(request).windows] == [16]


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("place", ["beside", "in parameters"])
def test_vectors_are_normalized_as_the_bundle_or_the_request_says(default, asked, place, encoder):
    fields = {"normalize": asked} if place == "beside" else {"parameters": {"normalize": asked}}
    (vector,) = answer(make_task(encoder, normalize=default), "a film", **fields)
    is_normalized = default if asked is None else asked
    assert (abs(np.linalg.norm(vector) - 1) < 1e-6) == is_normalized


def test_vectors_are_cut_before_they_are_normalized(encoder):
    task = make_task(encoder, normalize=True)
    whole = np.array(answer(task, "a film", normalize=False)[0])
    (cut,) = answer(task, "a film", dimensions=2)
    assert np.allclose(cut, whole[:2] / np.linalg.norm(whole[:2]), atol=1e-6)
    assert answer(task, "a film", parameters={"dimensions": 2.0}) == [cut]


def test_a_vector_of_zeros_stays_one(encoder):
    task, request = make_task(encoder, normalize=True), make_request("a")
    encoded = task.encode(request)
    assert decoded(task, request, encoded, [np.zeros((1, WIDTH), np.float32)]) == [[0.0] * WIDTH]


# --- Token vectors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "the film is good", LONG], ids=["a letter", "a window", "windows"])
def test_every_token_has_one_vector_special_ones_included(text, encoder):
    task = make_task(encoder, pooling="tokens")
    (rows,) = tokens_answer(task, text)
    assert [row[0] for row in rows] == encoder.tokenizer.encode(text).ids


def test_token_vectors_are_cut_and_normalized_each(encoder):
    task = make_task(encoder, pooling="tokens")
    (rows,) = tokens_answer(task, "a film", dimensions=1, normalize=True)
    assert {row[0] for row in rows if row[0]} == {1.0}


# --- Prompts ----------------------------------------------------------------------------------------------

PROMPTS = {"query": "query: ", "passage": "passage: "}


def ids(task, inputs, **fields):
    return task.encode(make_request(inputs, **fields)).windows[0].input_ids.tolist()


def test_a_prompt_is_put_before_each_text(encoder):
    task, plain = make_task(encoder, prompts=PROMPTS), make_task(encoder)
    assert ids(task, "good", prompt_name="query") == ids(plain, "query: good")
    assert ids(task, "good", parameters={"prompt_name": "passage"}) == ids(plain, "passage: good")
    assert ids(task, "good") == ids(plain, "good")
    assert ids(make_task(encoder, prompts=PROMPTS, default_prompt="query"), "good") == ids(plain, "query: good")


def test_case_does_not_count_where_it_did_not_in_training(encoder):
    assert ids(make_task(encoder, lowercase=True), "GOOD") == ids(make_task(encoder), "good")


@pytest.mark.parametrize(
    ("settings", "fields", "reason"),
    [
        ({"prompts": PROMPTS}, {"prompt_name": "queries"}, "prompt_name: toy has 'passage', 'query'"),
        ({}, {"prompt_name": "query"}, "prompt_name: toy has no prompts"),
        ({}, {"dimensions": 5}, "dimensions: the vectors of toy have 4"),
        ({}, {"pooling": "first"}, "pooling: toy has mean, .* for 'first', export the checkpoint with that pooling"),
        ({}, {"pooling": "lasttoken"}, "pooling: toy has mean, .* for 'lasttoken', export the checkpoint with that"),
        ({"is_normalized": True}, {"normalize": False}, "normalize: the graph of toy normalizes its vectors itself"),
    ],
    ids=str,
)
def test_what_the_bundle_does_not_have_is_refused_by_name(settings, fields, reason, encoder):
    task = make_task(encoder, **settings)
    for body in (fields, {"parameters": fields}):
        with pytest.raises(InvalidRequestError, match=reason):
            task.encode(make_request("good", **body))
    assert ids(task, "good", pooling="mean") == ids(task, "good")
    first = make_task(encoder, pooling="first")
    assert ids(first, "good", pooling="cls") == ids(first, "good", pooling="first")


# --- Forms of the answer ----------------------------------------------------------------------------------


def rendered(task, inputs, **fields):
    request = make_request(inputs, **fields)
    encoded = task.encode(request)
    outputs = [vector_of(window) for window in encoded.windows]
    return task.render(request, encoded.state, outputs), decoded(task, request, encoded, outputs)


@pytest.mark.parametrize("encoding_format", [None, "float", "base64"])
@pytest.mark.parametrize("count", [1, 3, 5000])
def test_an_answer_is_rendered_as_it_is_decoded(count, encoding_format, encoder):
    content, answered = rendered(make_task(encoder), ["a film"] * count, encoding_format=encoding_format)
    if encoding_format == "base64":
        assert from_json(content) == answered
    else:
        assert np.array_equal(np.array(from_json(content), np.float32), np.array(answered, np.float32))


def test_numbers_have_the_digits_of_a_float32(encoder):
    content, _ = rendered(make_task(encoder), "a film")
    assert max(map(len, content.strip(b"[]").split(b","))) <= len("-0.0123456789")


def test_base64_holds_little_endian_float32(encoder):
    task = make_task(encoder)
    ((text,), (vector,)) = (answer(task, "a film", encoding_format="base64"), answer(task, "a film"))
    assert np.array_equal(np.frombuffer(base64.b64decode(text), "<f4"), np.array(vector, np.float32))


def test_the_memory_of_an_answer_is_at_least_its_size(encoder):
    for pooling in ("mean", "tokens"):
        task, request = make_task(encoder, pooling=pooling), make_request([LONG, "a film"] * 20)
        encoded = task.encode(request)
        outputs = [np.full((max(1, len(w.head_rows)), WIDTH), -1.2345678e-9, np.float32) for w in encoded.windows]
        assert encoded.answer_bytes >= len(task.render(request, encoded.state, outputs))


# --- Requests and settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{"inputs": "a", "dimensions": 0}, {"inputs": "a", "encoding_format": "hex"}, {"inputs": " "}, {"inputs": [[1]]}],
    ids=str,
)
def test_requests_are_strict(body):
    with pytest.raises(ValidationError):
        EmbedRequest.model_validate(body)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"dimensions": None}, "task_settings.dimensions"),
        ({"pooling": "cls"}, "task_settings.pooling"),
        ({"default_prompt": "query"}, "the default prompt 'query' is not among the prompts"),
    ],
    ids=str,
)
def test_a_manifest_is_checked(settings, reason, encoder):
    with pytest.raises(BundleError, match=reason):
        make_task(encoder, **settings)


def test_the_width_is_that_of_the_settings(encoder):
    settings = EmbedSettings(dimensions=7).model_dump()
    assert Embed.width(make_manifest(task_settings=settings), {}) == 7


def test_a_pooling_that_the_model_was_not_trained_with_is_said(encoder):
    task, other = (make_task(encoder, pooling="mean", trained_pooling=each) for each in ("mean", "first"))
    assert task.advice(task.manifest) is None
    assert "pooled by mean, and the model was trained with first" in other.advice(other.manifest)
