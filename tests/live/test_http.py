"""HTTP/1.1 itself, byte by byte, as clients and proxies that are not libraries speak it."""

from __future__ import annotations

import json
import socket

import pytest

from tests.support.server import TIMEOUT_S, Service

BODY = json.dumps({"inputs": "a good film"}).encode()
HEAD = b"POST /classify HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n" % len(BODY)


@pytest.fixture
def connection(tiny: Service):
    address = (tiny.client.base_url.host, tiny.client.base_url.port)
    with socket.create_connection(address, timeout=TIMEOUT_S) as opened:
        yield opened


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer, to its announced end and not beyond: its status and its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"the connection ended after {head!r}"
        head += byte
    lines = head.decode().split("\r\n")
    lengths = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
    body = b""
    while lengths and len(body) < lengths[0]:
        body += connection.recv(lengths[0] - len(body))
    return int(lines[0].split()[1]), body


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


def test_what_is_not_http_is_a_400(connection):
    connection.sendall(b"what is not HTTP\r\n\r\n")
    assert read_answer(connection)[0] == 400
