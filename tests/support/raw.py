"""HTTP/1.1 byte by byte, for what no library sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.server import TIMEOUT_S, Service

BODY = json.dumps({"inputs": "a good film"}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
HEAD = b"POST /classify HTTP/1.1\r\nHost: test\r\n" + LENGTH


@contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    """Open a connection to a service."""
    with connect(service) as opened:
        yield opened


def connect(service: Service) -> socket.socket:
    return socket.create_connection((service.client.base_url.host, service.client.base_url.port), timeout=TIMEOUT_S)


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer, to its announced end and not beyond: its status and its body."""
    status, _, body = read_whole_answer(connection)
    return status, body


def read_whole_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer: its status, its headers, with names in lower case, and its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"the connection ended after {head!r}"
        head += byte
    line, *fields = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(int(headers["content-length"]) - len(body))
        assert piece, f"the connection ended after {body!r}"
        body += piece
    return int(line.split()[1]), headers, body


def assert_refused(connection: socket.socket, status: int, code: str, *words: str) -> None:
    """Expect an error in the one shape that all have, and the orderly end of the connection."""
    answered, headers, body = read_whole_answer(connection)
    error: dict[str, Any] = json.loads(body)
    assert (answered, error["error_type"]) == (status, code), body
    assert headers["connection"] == "close"
    assert headers["x-request-id"] == error["request_id"]
    for word in words:
        assert word in error["error"]
    assert_ended(connection)


def assert_ended(connection: socket.socket) -> None:
    """Expect the end of the connection, without a reset."""
    assert connection.recv(1) == b""
