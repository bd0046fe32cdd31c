"""The Python client: what it sends, when it asks again, and what it says of a refusal. No service is running."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from roberta_client import AsyncClient, Client, ClientError, DeadlineError, RefusedError
from roberta_client.asking import LONGEST_PAUSE_S, pause_after

from tests.support.server import until

URL = "http://service"
Answering = Callable[[httpx.Request], httpx.Response]


def upper(request: httpx.Request) -> httpx.Response:
    """Answer each text by its capitals."""
    return httpx.Response(200, json=[text.upper() for text in json.loads(request.content)["inputs"]])


def refusal(status: int, code: str = "invalid_request", **headers: str) -> httpx.Response:
    body = {"error": f"no: {code}", "error_type": code, "request_id": "7"}
    return httpx.Response(status, json=body, headers={"x-request-id": "7", **headers})


def client_of(answer: Answering, **options) -> Client:
    return Client(URL, http=httpx.Client(transport=httpx.MockTransport(answer)), **options)


def first(*responses: httpx.Response | Exception) -> tuple[Answering, list[httpx.Request]]:
    """Return what gives these, then answers, and the requests that it saw."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) > len(responses):
            return upper(request)
        outcome = responses[len(seen) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return answer, seen


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch) -> None:
    monkeypatch.setattr("roberta_client.asking.random.uniform", lambda low, high: 0.0)


def test_a_list_is_cut_and_answered_in_order():
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sizes.append(len(json.loads(request.content)["inputs"]))
        time.sleep(0.002 * (len(sizes) % 3))  # so that later chunks are answered before earlier ones
        return upper(request)

    texts = [f"text {number}" for number in range(50)]
    assert client_of(answer, chunk=8, in_flight=4).ask("classify", texts) == [text.upper() for text in texts]
    assert sorted(sizes) == [2, *[8] * 6]
    sizes.clear()
    assert len(client_of(answer, chunk_characters=20).ask("classify", texts)) == 50
    assert max(sizes) == 3  # of 6 or 7 characters each


def test_a_text_alone_is_a_list_of_one():
    answer, seen = first()
    assert client_of(answer).classify("a") == ["A"]
    assert json.loads(seen[0].content) == {"inputs": ["a"], "parameters": {}}
    assert client_of(answer).classify([]) == []


def test_fields_and_parameters_stand_where_the_service_has_them():
    answer, seen = first()
    client_of(answer, key="secret", priority=3).classify("a", model="tags:2", truncate=True, top_k=2)
    body = {"inputs": ["a"], "model": "tags:2", "truncate": True, "parameters": {"top_k": 2}}
    assert json.loads(seen[0].content) == body
    headers = seen[0].headers
    assert (headers["authorization"], headers["x-priority"]) == ("Bearer secret", "3")
    assert 59_000 < int(headers["x-request-timeout-ms"]) <= 60_000


def test_a_source_goes_with_each_chunk_of_sentences():
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content)["inputs"])
        return httpx.Response(200, json=[0.5] * len(bodies[-1]["sentences"]))

    assert client_of(answer, chunk=2).similarity("a", ["b", "c", "d"]) == [0.5] * 3
    assert {body["source_sentence"] for body in bodies} == {"a"}


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(429, "queue_full", **{"retry-after": "0"}),
        refusal(503, "not_ready"),
        httpx.Response(502, text="<html>"),
        httpx.Response(504, text="<html>"),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
    ],
    ids=["full", "loading", "a proxy", "a proxy's timeout", "no connection", "a connection that broke"],
)
def test_what_passes_is_asked_again(trouble):
    answer, seen = first(trouble, trouble)
    assert client_of(answer).classify("a") == ["A"]
    assert len(seen) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500, 301])
def test_what_does_not_pass_is_raised(status):
    answer, seen = first(refusal(status))
    with pytest.raises(RefusedError, match="no: invalid_request") as caught:
        client_of(answer).classify("a")
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "invalid_request", "7")
    assert len(seen) == 1


def test_a_service_that_stays_busy_or_is_too_late_is_a_missed_deadline():
    with pytest.raises(DeadlineError, match=r"within 0\.05 s: no: queue_full"):
        client_of(lambda _: refusal(429, "queue_full"), timeout_s=0.05).classify("a")
    with pytest.raises(DeadlineError, match="no: deadline_exceeded"):
        client_of(lambda _: refusal(504, "deadline_exceeded")).classify("a")


def test_what_is_no_answer_of_the_service_says_so():
    for response in (httpx.Response(200, text="<html>"), httpx.Response(200, json=["a", "b"])):
        with pytest.raises(ClientError, match="is the URL right"):
            client_of(lambda _, response=response: response).classify("a")


def without(*bad: str, status: int = 422) -> Answering:
    """Refuse requests that have one of these texts."""

    def answer(request: httpx.Request) -> httpx.Response:
        texts = json.loads(request.content)["inputs"]
        return refusal(status) if set(bad) & set(texts) else upper(request)

    return answer


def test_bad_texts_are_the_only_ones_without_an_answer():
    texts = [f"t{number}" for number in range(40)]
    answers = client_of(without("t3", "t17"), chunk=16).classify(texts, errors="return")
    assert [number for number, answer in enumerate(answers) if isinstance(answer, RefusedError)] == [3, 17]
    assert [answer for answer in answers if isinstance(answer, str)] == [
        text.upper() for text in texts if text not in ("t3", "t17")
    ]


def test_texts_that_are_too_large_together_are_sent_apart():
    def answer(request: httpx.Request) -> httpx.Response:
        texts = json.loads(request.content)["inputs"]
        return refusal(413, "request_too_large") if len(texts) > 3 else upper(request)

    assert client_of(answer, chunk=16).classify([f"t{number}" for number in range(20)]) == [
        f"T{number}" for number in range(20)
    ]


def test_endless_texts_are_read_as_they_are_needed():
    read: list[int] = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append(number)
            yield f"t{number}"

    pairs = client_of(upper, chunk=4, in_flight=2).each("classify", endless())
    assert list(itertools.islice(pairs, 6)) == [(f"t{number}", f"T{number}") for number in range(6)]
    pairs.close()
    assert len(read) < 30


def test_progress_counts_every_text():
    seen: list[int] = []
    client_of(upper, chunk=4).classify(["a"] * 10, progress=seen.append)
    assert sum(seen) == 10


def test_pauses_are_those_of_the_service_or_grow(monkeypatch):
    monkeypatch.setattr("roberta_client.asking.random.uniform", lambda low, high: high)
    assert pause_after(refusal(429, **{"retry-after": "4"}), 0) == 6.0
    assert pause_after(refusal(429, **{"retry-after": "600"}), 0) == 900.0
    pauses = [pause_after(httpx.ConnectError("refused"), attempt) for attempt in range(40)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S * 1.5


def test_a_caller_that_leaves_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("roberta_client.asking.random.uniform", lambda low, high: 1.0)
    before = threading.active_count()
    answer, _ = first()
    held = client_of(lambda request: upper(request) if b"t0" in request.content else refusal(429), chunk=1)
    pairs = held.each("classify", ["t0", "t1", "t2"])
    assert next(pairs) == ("t0", "T0")
    pairs.close()
    until(lambda: threading.active_count() <= before)
    assert client_of(answer).classify("a") == ["A"]


# --- asyncio ----------------------------------------------------------------------------------------------


def asked_async(answer: Answering, texts: list[str], **options) -> list[object]:
    async def ask() -> list[object]:
        async with AsyncClient(URL, http=httpx.AsyncClient(transport=httpx.MockTransport(answer)), **options) as client:
            return await client.classify(texts)

    return asyncio.run(ask())


def test_the_asynchronous_client_does_the_same():
    texts = [f"t{number}" for number in range(20)]
    answer, seen = first(refusal(503, "not_ready"), httpx.ConnectError("refused"))
    assert asked_async(answer, texts, chunk=4) == [text.upper() for text in texts]
    assert len(seen) == 7
    with pytest.raises(RefusedError, match="no: invalid_request"):
        asked_async(without("t9"), texts, chunk=4)


def test_a_cancelled_call_leaves_no_task():
    async def leave() -> int:
        started = asyncio.Event()

        async def hold(request: httpx.Request) -> httpx.Response:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

        client = AsyncClient(URL, http=httpx.AsyncClient(transport=httpx.MockTransport(hold)), chunk=1)
        asking = asyncio.create_task(client.classify(["a", "b", "c"]))
        await started.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert asyncio.run(leave()) == 1
