"""Headers and the reading of a body: whatever is wrong is refused with a sentence that names it."""

import asyncio
import time

import pytest

from app.api.request import SMALL_BYTES, BodyMemory, path_of, priority_of, read_body, request_id_of, tidy, timeout_s_of
from app.errors import (
    ClientGoneError,
    DeadlineExceededError,
    InvalidRequestError,
    QueueFullError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)


def as_headers(**fields):
    """Headers as ASGI gives them."""
    return {name.lower().replace("_", "-").encode(): value.encode("latin-1") for name, value in fields.items()}


def body_in(chunks):
    """A body that comes in chunks."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False

    async def receive():
        return messages.pop(0)

    return receive


# --- Reading --------------------------------------------------------------------------------------------


def read(headers, *chunks):
    return asyncio.run(read_body(headers, body_in(chunks), 10, time.monotonic() + 60, BodyMemory(100)))


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/problem+json", None],
)
def test_json_by_any_name_is_read(media_type):
    headers = as_headers(content_type=media_type) if media_type else {}
    assert read(headers, b"{}") == b"{}"


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", "application/jsonp"])
def test_another_media_type_is_refused(media_type):
    with pytest.raises(UnsupportedMediaTypeError, match="Content-Type: application/json"):
        read(as_headers(content_type=media_type), b"{}")


@pytest.mark.parametrize(
    ("headers", "chunks"),
    [({"content_length": "11"}, [b""]), ({}, [b"12345678", b"901"]), ({"content_length": "2"}, [b"1" * 11])],
)
def test_a_body_over_the_limit_is_refused(headers, chunks):
    with pytest.raises(RequestTooLargeError, match="larger than 10 bytes"):
        read(as_headers(**headers), *chunks)


def test_bodies_in_hand_are_bounded_together_and_one_may_always_be():
    memory = BodyMemory(8)

    def take(*chunks):
        return asyncio.run(read_body({}, body_in(chunks), 10, time.monotonic() + 60, memory))

    assert take(b"12345", b"67890") == b"1234567890"
    with pytest.raises(QueueFullError, match="too many large bodies"):
        take(b"1")
    memory.free(10)
    take(b"12345")
    with pytest.raises(QueueFullError):
        take(b"123", b"4")
    assert memory.used == 5  # nothing of the body that was refused
    with pytest.raises(RequestTooLargeError):
        take(b"1", b"2345678901")
    assert memory.used == 5


def test_large_bodies_leave_memory_to_small_ones():
    memory = BodyMemory(8 * SMALL_BYTES)
    memory.take(SMALL_BYTES, held=0)
    memory.take(6 * SMALL_BYTES, held=SMALL_BYTES)
    with pytest.raises(QueueFullError):
        memory.take(1, held=7 * SMALL_BYTES - 1)
    with pytest.raises(QueueFullError):
        memory.take(SMALL_BYTES + 1, held=0)
    memory.take(SMALL_BYTES, held=0)
    with pytest.raises(QueueFullError):
        memory.take(1, held=0)


@pytest.mark.parametrize("chunks", [[b"12345", b"67890"], [b"", b"12345", b"", b"6", b"7890"], [b"1"] * 10])
def test_a_body_at_the_limit_is_read_whole(chunks):
    assert read(as_headers(content_length="10"), *chunks) == b"".join(chunks)


def test_a_client_that_leaves_before_the_end_of_its_body_is_gone():
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    with pytest.raises(ClientGoneError):
        asyncio.run(read_body({}, receive, 10, time.monotonic() + 60, BodyMemory(100)))


def test_a_body_that_does_not_end_is_given_up_at_the_deadline():
    messages = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive():
        return messages.pop(0) if messages else await asyncio.Event().wait()

    with pytest.raises(DeadlineExceededError, match="before the body was received"):
        asyncio.run(read_body({}, receive, 10, time.monotonic() + 0.01, BodyMemory(100)))


# --- Headers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "seconds"), [(None, 30.0), ("1", 0.001), ("1500", 1.5), ("99999999", 30.0)])
def test_a_timeout_is_in_milliseconds_and_at_most_the_services(given, seconds):
    assert timeout_s_of(as_headers(X_Request_Timeout_Ms=given) if given else {}, 30.0) == seconds


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "1e3", "soon", "", " ", "²", "9" * 5000])
def test_a_timeout_that_is_no_whole_number_is_refused_by_name(given):
    with pytest.raises(InvalidRequestError, match="X-Request-Timeout-Ms"):
        timeout_s_of(as_headers(X_Request_Timeout_Ms=given), 30.0)


@pytest.mark.parametrize(("given", "priority"), [(None, 0), ("0", 0), ("10", 10), ("-10", -10), ("+3", 3)])
def test_a_priority(given, priority):
    assert priority_of(as_headers(X_Priority=given) if given else {}) == priority


@pytest.mark.parametrize("given", ["11", "-11", "1.5", "high", "", "1 ", "²"])
def test_a_priority_out_of_range_is_refused_by_name(given):
    with pytest.raises(InvalidRequestError, match="X-Priority must be a whole number from -10 to 10"):
        priority_of(as_headers(X_Priority=given))


def test_a_request_id_is_the_callers():
    assert request_id_of(as_headers(X_Request_Id="abc-123")) == "abc-123"


@pytest.mark.parametrize("given", [None, "", "a b", "é", "x" * 129, "a\x7f"])
def test_a_request_id_that_cannot_be_echoed_is_made_anew(given):
    headers = as_headers(X_Request_Id=given) if given is not None else {}
    one, other = request_id_of(headers), request_id_of(headers)
    assert one != other
    assert len(one) == 32


# --- Paths -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "prefix", "expected"),
    [
        ("/ner", None, "/ner"),
        ("/ner", "", "/ner"),
        ("/api/ner", "/api", "/ner"),
        ("/ner", "/api", "/ner"),
        ("/apiary/ner", "/api", "/apiary/ner"),
        ("/api", "/api", ""),
        ("/api/", "/api", "/"),
    ],
)
def test_a_path_is_read_without_the_prefix_of_a_mount(path, prefix, expected):
    assert path_of({"path": path} if prefix is None else {"path": path, "root_path": prefix}) == expected


@pytest.mark.parametrize(
    ("path", "prefix", "expected"),
    [
        ("/ner/", "", "/ner"),
        ("//ner", "", "/ner"),
        ("/", "", "/"),
        ("", "", "/"),
        ("*", "", "/*"),
        ("/api/ner/", "/api", "/ner"),
        ("/api", "/api", "/"),
        ("/apiary", "/api", "/apiary"),
        ("/ner", "/api", "/ner"),
        ("/api/api/ner", "/api", "/api/ner"),
        ("/models/../x", "", "/models/../x"),
    ],
)
def test_a_path_is_tidied(path, prefix, expected):
    assert tidy(path, prefix) == expected
