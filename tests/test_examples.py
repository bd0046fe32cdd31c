"""The examples work: the client against a running service, the recipe on its data, the service without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from examples.client import ATTEMPTS, AnswerError, AsyncClient, Client, answer_of, chunks, pause_s
from examples.embed import classify
from tests.support.answers import assert_alike
from tests.support.server import ThreadService, serve

EXAMPLES = Path(__file__).parents[1] / "examples"
TEXTS = ["a good film", "a bad film", "Ada Byron met Bob in Paris"]
TOLERANCE = 1e-3  # of a score: batches of other sizes add in another order


@pytest.fixture(scope="module")
def service(tiny_models) -> Iterator[ThreadService]:
    with serve(tiny_models) as running:
        yield running


def answering(*responses: httpx.Response) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """Return a transport that gives one response after the other, and the requests that it sees."""
    seen: list[httpx.Request] = []
    left = iter(responses)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return next(left)

    return httpx.MockTransport(answer), seen


def busy(retry_after: str) -> httpx.Response:
    body = {"error": "the queue is full", "error_type": "queue_full", "request_id": "1"}
    return httpx.Response(429, headers={"retry-after": retry_after}, json=body)


# --- The client -------------------------------------------------------------------------------------------


def test_the_client_asks_and_sends_lines(service):
    client = Client(service.client)
    ranked = client.ask("classify", TEXTS[0], parameters={"top_k": 1})
    assert [len(labels) for labels in ranked] == [1]
    answers = dict(client.ask_lines("classify", ["a good film\n", "\n", "a bad film\n"]))
    assert_alike(answers, {text: client.ask("classify", [text])[0] for text in TEXTS[:2]}, TOLERANCE)


def test_the_async_client_answers_in_order(service):
    async def ask() -> list[object]:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
            return await AsyncClient(http).ask_all("classify", TEXTS, at_once=2)

    expected = [Client(service.client).ask("classify", text) for text in TEXTS]
    assert_alike(asyncio.run(ask()), expected, TOLERANCE)


def test_a_refused_request_is_an_error_with_the_service_s_sentence(service):
    with pytest.raises(AnswerError, match="inputs") as error:
        Client(service.client).ask("classify", None)
    assert error.value.code == "invalid_request"


def test_a_busy_service_is_asked_again_when_it_says():
    transport, seen = answering(busy("3"), busy("1"), httpx.Response(200, json=["yes"]))
    pauses: list[float] = []
    with httpx.Client(transport=transport, base_url="http://service") as http:
        assert Client(http, pauses.append).ask("classify", "a") == ["yes"]
    assert pauses == [3.0, 1.0]
    assert len(seen) == 3


def test_the_async_client_waits_too():
    transport, _ = answering(busy("2"), httpx.Response(200, json=["yes"]))
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def ask() -> object:
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
            return await AsyncClient(http, pause).ask("classify", "a")

    assert asyncio.run(ask()) == ["yes"]
    assert pauses == [2.0]


def test_a_service_that_stays_busy_is_an_error():
    transport, seen = answering(*[busy("1")] * ATTEMPTS)
    with httpx.Client(transport=transport, base_url="http://service") as http, pytest.raises(AnswerError):
        Client(http, lambda _: None).ask("classify", "a")
    assert len(seen) == ATTEMPTS


def test_an_error_of_a_proxy_is_httpx_s_own():
    response = httpx.Response(502, text="<html>", request=httpx.Request("POST", "http://service"))
    with pytest.raises(httpx.HTTPStatusError):
        answer_of(response)


@pytest.mark.parametrize(
    ("header", "seconds"), [("2", 2.0), ("3600", 30.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 30.0)], ids=str
)
def test_a_pause_is_bounded(header, seconds):
    assert pause_s(busy(header)) == seconds


def test_lines_are_sent_in_chunks():
    assert list(chunks(["a\n", " \n", "b\n", "c"], size=2)) == [["a", "b"], ["c"]]


# --- The recipe -------------------------------------------------------------------------------------------


def test_the_recipe_is_valid_and_its_data_is_clean(monkeypatch):
    from training.checking import check
    from training.config import Recipe, load_recipe

    monkeypatch.chdir(EXAMPLES.parent)
    recipe = load_recipe(Recipe, EXAMPLES / "tickets.toml")
    findings = check(recipe, Path())
    assert [finding for finding in findings if finding.severity != "note"] == []
    assert any(finding.summary == "examples: train 60" for finding in findings)


# --- The service without HTTP -----------------------------------------------------------------------------


def test_the_service_answers_without_http(service, tiny_models):
    expected = [ranked for text in TEXTS for ranked in Client(service.client).ask("classify", text)]
    assert_alike(asyncio.run(classify(tiny_models, TEXTS)), expected, TOLERANCE)
