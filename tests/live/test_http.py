"""HTTP/1.1 itself, byte by byte, as clients and proxies that are not libraries speak it."""

from __future__ import annotations

import pytest

from tests.support.raw import BODY, HEAD, assert_refused, connected, read_answer, read_whole_answer
from tests.support.server import Service


@pytest.fixture
def connection(tiny: Service):
    with connected(tiny) as opened:
        yield opened


def test_an_answer_comes_in_one_piece(connection):
    connection.sendall(HEAD + b"\r\n" + BODY)
    piece = connection.recv(2**16)
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
    assert piece.endswith(b"}]]")


def test_a_client_that_asks_before_it_sends_its_body_is_told_to_go_on(connection):
    connection.sendall(HEAD + b"Expect: 100-continue\r\n\r\n")
    assert read_answer(connection) == (100, b"")
    connection.sendall(BODY)
    asked = read_answer(connection)
    connection.sendall(HEAD + b"\r\n" + BODY)
    assert asked == read_answer(connection)
    assert asked[0] == 200


def test_requests_that_come_together_are_answered_in_order(connection):
    connection.sendall((HEAD + b"\r\n" + BODY) * 3 + b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n")
    answers = [read_answer(connection) for _ in range(4)]
    assert [status for status, _ in answers] == [200] * 4
    assert answers[0] == answers[1] == answers[2] != answers[3]


def test_a_connection_that_is_to_be_closed_is_closed_after_its_answer(connection):
    connection.sendall(HEAD + b"Connection: close\r\n\r\n" + BODY)
    assert read_answer(connection)[0] == 200
    assert connection.recv(1) == b""


# --- Attacks: each is refused in the service's own shape, and the connection ends ------------------------

LINE = b"POST /classify HTTP/1.1\r\n"
HOST = b"Host: test\r\n"
CHUNKED = LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n"

NOT_HTTP = {
    "not HTTP": b"what is not HTTP\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "no version": b"GET /health/live\r\n\r\n",
    "NUL in the path": b"GET /health\0/live HTTP/1.1\r\n\r\n",
    "a space in the path": b"GET /health live HTTP/1.1\r\n\r\n",
    "bytes beyond ASCII in the path": b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    "an unknown method": b"STEAL /classify HTTP/1.1\r\n\r\n",
    "a tunnel": b"CONNECT evil:80 HTTP/1.1\r\nHost: evil\r\n\r\nabc",
    "a path without a slash": b"GET health HTTP/1.1\r\nHost: test\r\n\r\n",
    "a line feed alone": LINE + b"Host: test\nX: a\r\n\r\n",
    "a carriage return alone": LINE + b"Host: test\rX: a\r\n\r\n",
    "a folded header": LINE + HOST + b"X: a\r\n b\r\n\r\n",
    "NUL in a header": LINE + HOST + b"X: a\0b\r\n\r\n",
    "a control character in a name": LINE + HOST + b"\x0bX: a\r\n\r\n",
    "a space before the colon": LINE + HOST + b"Content-Length : 5\r\n\r\nhello",
    "no name": LINE + HOST + b": a\r\n\r\n",
}

SMUGGLED = {
    "length and chunks": LINE + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": LINE + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": LINE + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": LINE + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": LINE + HOST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": LINE + HOST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": LINE + HOST + b"Content-Length: -5\r\n\r\nhello",
    "a length in hexadecimal": LINE + HOST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length without end": LINE + HOST + b"Content-Length: %s\r\n\r\nhello" % (b"9" * 30),
    "an unknown coding": LINE + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": LINE + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": LINE + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab in the coding": LINE + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a signed chunk": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a prefixed chunk": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk that overflows": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "a space after the size": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "a line feed after the size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a chunk longer than announced": CHUNKED + b"5\r\nhello, you\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", [*NOT_HTTP.values(), *SMUGGLED.values()], ids=[*NOT_HTTP, *SMUGGLED])
def test_what_is_not_http_is_a_400_and_nothing_after_it_is_read(connection, tiny, sent):
    connection.sendall(sent + GET)
    assert_refused(connection, 400, "bad_request")
    assert tiny.is_ready()


def test_an_answer_that_is_due_comes_before_the_refusal_of_what_follows(connection):
    connection.sendall(HEAD + b"\r\n" + BODY + b"what is not HTTP\r\n\r\n" + GET)
    assert read_answer(connection)[0] == 200
    assert_refused(connection, 400, "bad_request")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.3"])
def test_a_request_that_asks_for_another_protocol_is_answered_in_this_one(connection, protocol):
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABk\r\n" % protocol
    for body in (BODY[:5], BODY):  # in two pieces, and in one
        connection.sendall(HEAD + upgrade + b"\r\n" + body)
        if body != BODY:
            connection.sendall(BODY[5:])
        assert read_answer(connection)[0] == 200
    connection.sendall(GET.replace(HOST, HOST + upgrade) + GET)
    assert [read_answer(connection)[0] for _ in range(2)] == [200, 200]


def test_trailers_are_no_headers(connection):
    piece = b"%x\r\n%s\r\n" % (len(BODY), BODY)
    connection.sendall(CHUNKED + piece + b"0\r\nX-Priority: 99\r\nX-Request-Id: trailed\r\n\r\n")
    status, headers, _ = read_whole_answer(connection)
    assert status == 200
    assert headers["x-request-id"] != "trailed"


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/models/..%2f..%2fetc", "/%00", "/models/%00%0d%0aX: 1", "/%ff%fe"],
)
def test_a_path_leads_nowhere_else(connection, path):
    connection.sendall(b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n" % path.replace(" ", "%20").encode())
    status, headers, body = read_whole_answer(connection)
    assert status == 404
    assert "x" not in headers
    assert b"root:" not in body
