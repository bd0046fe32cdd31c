"""Requests as real clients and proxies send them: each is answered, or told in one sentence what to send."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support.raw import BODY, LENGTH, connected, read_whole_answer

JSON = b"Content-Type: application/json\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n"
COMPRESSED = gzip.compress(BODY)


def post(
    target: bytes = b"/classify", headers: bytes = JSON + LENGTH, body: bytes = BODY, version: bytes = b"1.1"
) -> bytes:
    return b"POST %s HTTP/%s\r\nHost: test\r\n%s\r\n%s" % (target, version, headers, body)


def in_chunks(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


ANSWERED = {
    "requests": post(
        headers=b"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n" + JSON + LENGTH
    ),
    "axios": post(headers=b"Accept: application/json, text/plain, */*\r\nContent-Type: application/json\r\n" + LENGTH),
    "aiohttp": post(headers=JSON + CHUNKS, body=in_chunks(BODY, 7)),
    "Go, lower case": post(headers=b"content-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)),
    "a Go server behind Envoy": post(
        headers=b"x-envoy-expected-rq-timeout-ms: 15000\r\nx-request-id: 1\r\n" + JSON + LENGTH
    ),
    ".NET": post(headers=b"Content-Type: application/json; charset=utf-8\r\n" + LENGTH),
    ".NET, chunked": post(
        headers=b"Content-Type: application/json; charset=utf-8\r\n" + CHUNKS, body=in_chunks(BODY, 99)
    ),
    "a charset in capitals": post(headers=b'Content-Type: application/json;charset="UTF-8"\r\n' + LENGTH),
    "no content type": post(headers=LENGTH),
    "JSON-LD": post(headers=b"Content-Type: application/ld+json\r\n" + LENGTH),
    "any answer": post(headers=b"Accept: text/html\r\n" + JSON + LENGTH),
    "another expectation": post(headers=b"Expect: 200-ok\r\n" + JSON + LENGTH),
    "an absolute target, as to a proxy": post(b"http://nlp.example:8000/classify"),
    "a percent-encoded path": post(b"/%63lassify"),
    "a doubled slash": post(b"//classify"),
    "a slash at the end": post(b"/classify/"),
    "a query of a cache": post(b"/classify?_=1700000000"),
    "an empty query": post(b"/classify?"),
    "a model in the query": post(b"/classify?model=tiny-classify%3A1"),
    "an empty model": post(b"/classify?model="),
    "HTTP/1.0": post(version=b"1.0"),
    "HTTP/1.0 without Host": b"POST /classify HTTP/1.0\r\n" + JSON + LENGTH + b"\r\n" + BODY,
    "HTTP/1.0 of ab": post(headers=b"Connection: Keep-Alive\r\n" + JSON + LENGTH, version=b"1.0"),
    "nginx": post(
        headers=b"X-Real-IP: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n" + JSON + LENGTH
    ),
    "an ALB": post(headers=b"X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678\r\n" + JSON + LENGTH),
    "empty lines before": b"\r\n\r\n" + post(),
    "a cookie": post(headers=b"Cookie: a=b\r\n" + JSON + LENGTH),
    "gzip": post(headers=JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(COMPRESSED), body=COMPRESSED),
    "gzip in chunks": post(headers=JSON + b"Content-Encoding: gzip\r\n" + CHUNKS, body=in_chunks(COMPRESSED, 5)),
    "a byte order mark": post(headers=JSON + b"Content-Length: %d\r\n" % (len(BODY) + 3), body=b"\xef\xbb\xbf" + BODY),
    "curl --http2": post(
        headers=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        + JSON
        + LENGTH
    ),
    "Java, chunked": post(
        headers=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n" + JSON + CHUNKS,
        body=in_chunks(BODY, 9),
    ),
}


def ask(service, sent: bytes, pieces: int = 1):
    """Send a request in pieces; return the status, the headers and the body of its answer."""
    size = -(-len(sent) // pieces)
    with connected(service) as connection:
        for start in range(0, len(sent), size):
            connection.sendall(sent[start : start + size])
        return read_whole_answer(connection)


@pytest.mark.parametrize("form", ANSWERED)
def test_what_a_client_sends_is_answered_in_one_piece_and_in_several(tiny, form):
    expected = ask(tiny, post())[2]
    for pieces in (1, 2, 11):
        status, headers, body = ask(tiny, ANSWERED[form], pieces)
        assert (status, body) == (200, expected)
        assert headers["content-type"] == "application/json"


FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
UTF16 = BODY.decode().encode("utf-16")
REFUSED = {
    "curl -d without a header": (post(headers=FORM + LENGTH), 415, "send `Content-Type: application/json`"),
    "fetch of a string": (
        post(headers=b"Content-Type: text/plain;charset=UTF-8\r\n" + LENGTH),
        415,
        "send `Content-Type: ",
    ),
    "a file": (
        post(headers=b"Content-Type: multipart/form-data; boundary=x\r\n" + LENGTH),
        415,
        "send `Content-Type: ",
    ),
    "zstd": (post(headers=JSON + b"Content-Encoding: zstd\r\n" + LENGTH), 415, "must be one of gzip, deflate, br"),
    "not gzip": (post(headers=JSON + b"Content-Encoding: gzip\r\n" + LENGTH), 400, "the body is not valid gzip"),
    "no body": (post(headers=JSON + b"Content-Length: 0\r\n", body=b""), 400, "the body is empty; send JSON"),
    "neither length nor chunks": (post(headers=JSON, body=b""), 400, "the body is empty; send JSON"),
    "UTF-16": (
        post(headers=JSON + b"Content-Length: %d\r\n" % len(UTF16), body=UTF16),
        400,
        "UTF-16 or UTF-32; send JSON in UTF-8",
    ),
    "a long model": (post(b"/classify?model=" + b"m" * 30_000), 404, "m...'; GET /models lists them"),
    "a path in capitals": (post(b"/Classify"), 404, "there is nothing at this path; see /docs"),
    "a dot segment": (post(b"/./classify"), 404, "there is nothing at this path; see /docs"),
    "no Host": (b"GET /health HTTP/1.1\r\n\r\n", 400, "an HTTP/1.1 request needs one Host header"),
    "two hosts": (
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        400,
        "an HTTP/1.1 request needs one Host header",
    ),
    "GET of a task": (b"GET /classify HTTP/1.1\r\nHost: a\r\n\r\n", 405, "GET is not possible here, but POST"),
    "OPTIONS": (b"OPTIONS /classify HTTP/1.1\r\nHost: a\r\n\r\n", 405, "OPTIONS is not possible here, but POST"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_answered_is_told_in_one_sentence(tiny, form):
    sent, code, words = REFUSED[form]
    status, headers, body = ask(tiny, sent)
    error = json.loads(body)
    assert (status, headers["x-request-id"]) == (code, error["request_id"])
    assert words in error["error"]
    assert len(body) < 400


def test_an_absolute_target_without_a_path_is_the_page(tiny):
    status, headers, _ = ask(tiny, b"GET http://nlp.example HTTP/1.1\r\nHost: nlp.example\r\n\r\n")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/html")


def test_what_is_no_request_is_counted(tiny):
    before = tiny.metric("roberta_rejected_total", reason="bad_request")
    ask(tiny, REFUSED["no Host"][0])
    assert tiny.metric("roberta_rejected_total", reason="bad_request") == before + 1


PAGES = ["/", "/docs", "/redoc", "/openapi.json", "/models", "/models/tiny-ner", "/info", "/ner/info", "/metrics"]


@pytest.mark.parametrize("path", [*PAGES, "/health", "/health/live", "/health/ready", "/ner/health"])
def test_head_is_answered_wherever_get_is(tiny, path):
    get, head = tiny.client.get(path), tiny.client.head(path)
    assert (get.status_code, head.status_code, head.content) == (200, 200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert "content-length" in head.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD, POST"),
        ("/models/tiny-ner", "GET, HEAD, POST"),
        ("/classify", "POST"),
        ("/health", "GET, HEAD"),
    ],
)
def test_a_405_says_what_is_allowed(tiny, path, allowed):
    answer = tiny.client.delete(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
