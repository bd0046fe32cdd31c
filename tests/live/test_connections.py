"""Bounds on what a client may open, send slowly, send too much of, or leave unread, before any key is asked for."""

from __future__ import annotations

import resource
import socket
import time

import httpx
import pytest

from tests.support.answers import ask
from tests.support.raw import BODY, HEAD, assert_ended, assert_refused, connect, connected, read_answer
from tests.support.server import SHAPES, TIMEOUT_S, Service, SeveralService, held, serve_as, until

HURRIED = {"head_timeout_s": 0.4, "keep_alive_s": 1.0, "send_timeout_s": 0.6, "max_head_bytes": 8192}
GET = b"GET /health/live HTTP/1.1\r\nHost: test\r\n"
CHUNKED = b"POST /classify HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module", params=SHAPES)
def hurried(request, tiny_models, tmp_path_factory):
    """A service that waits for nobody for long."""
    with serve_as(request.param, tiny_models, tmp_path_factory.mktemp("hurried"), **HURRIED) as service:
        yield service


# --- Heads --------------------------------------------------------------------------------------------------

HEADS = {
    "a long path": b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n\r\n",
    "a long header": GET + b"X: " + b"a" * 8192 + b"\r\n\r\n",
    "a long name": GET + b"X" * 8192 + b": a\r\n\r\n",
    "long headers": GET + (b"X: " + b"a" * 1000 + b"\r\n") * 9 + b"\r\n",
    "many headers": GET + b"X: a\r\n" * 101 + b"\r\n",
    "many headers of a request that asks for another protocol": GET
    + b"Connection: upgrade\r\nUpgrade: h2c\r\n"
    + b"X: a\r\n" * 99
    + b"\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_head_that_is_too_large_is_a_431(hurried, head):
    with connected(hurried) as connection:
        connection.sendall(head)
        assert_refused(connection, 431, "head_too_large")


@pytest.mark.parametrize(
    "begin", [b"GET /", GET + b"X: ", GET + b"X", CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX: "], ids=lambda b: b[-12:]
)
def test_a_line_without_end_is_refused_before_much_of_it_is_read(hurried, begin):
    sent = 0
    with connected(hurried) as connection:
        connection.sendall(begin)
        try:
            while sent < 2**26:
                sent += connection.send(b"a" * 2**16)
        except OSError:
            pass  # the service reads no more
    assert sent < 2**25
    until(hurried.is_ready)


def test_trailers_count_as_headers(hurried):
    with connected(hurried) as connection:
        connection.sendall(CHUNKED + b"\r\n5\r\nhello\r\n0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 9 + b"\r\n")
        assert_refused(connection, 431, "head_too_large")


def test_what_is_around_the_chunks_of_a_body_is_bounded(hurried):
    """Extensions of chunks, which nobody reads, must not be a way to send without end."""
    with connected(hurried) as connection:
        connection.sendall(CHUNKED + b"\r\n")
        for _ in range(20):
            connection.sendall(b"1;" + b"a" * 1000 + b"\r\na\r\n")
            time.sleep(0.001)  # each in a read of its own
        assert_refused(connection, 400, "bad_request", "chunks")


def test_a_body_in_chunks_of_one_byte_is_read(hurried):
    with connected(hurried) as connection:
        connection.sendall(CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n")
        assert read_answer(connection)[0] == 200


def test_a_small_request_follows_a_large_one(hurried):
    body = BODY + b" " * 200_000
    with connected(hurried) as connection:
        connection.sendall(HEAD.replace(b": %d" % len(BODY), b": %d" % len(body)) + b"\r\n" + body)
        assert read_answer(connection)[0] == 200
        for _ in range(3):
            connection.sendall(HEAD + b"\r\n" + BODY)
            assert read_answer(connection)[0] == 200


def test_a_head_within_the_limits_is_read(hurried):
    with connected(hurried) as connection:
        connection.sendall(GET + b"X: a\r\n" * 99 + b"\r\n")
        assert read_answer(connection)[0] == 200
        connection.sendall(GET + b"X: " + b"a" * 8000 + b"\r\n\r\n")
        assert read_answer(connection)[0] == 200


# --- Time ---------------------------------------------------------------------------------------------------


def test_a_connection_that_stays_silent_is_closed(hurried):
    with connected(hurried) as connection:
        assert_ended(connection)


@pytest.mark.parametrize("answered", [0, 1])
def test_a_head_that_drips_is_a_408(hurried, answered):
    with connected(hurried) as connection:
        for _ in range(answered):
            connection.sendall(GET + b"\r\n")
            assert read_answer(connection)[0] == 200
        connection.sendall(GET)
        connection.settimeout(0.05)
        until(lambda: drip(connection), 30)
        connection.settimeout(30)
        assert_refused(connection, 408, "head_timeout")


def drip(connection: socket.socket) -> bool:
    """Send one more byte of a header, and return whether there is an answer."""
    connection.send(b"X")
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False


def test_a_connection_stays_open_between_requests_for_as_long_as_it_may(hurried):
    with connected(hurried) as connection:
        for _ in range(2):
            connection.sendall(HEAD + b"\r\n" + BODY)
            assert read_answer(connection)[0] == 200
            time.sleep(HURRIED["head_timeout_s"] + 0.2)  # as a new connection it would be closed
        assert_ended(connection)


def test_a_body_that_drips_is_bounded_by_the_deadline(hurried):
    with connected(hurried) as connection:
        connection.sendall(HEAD + b"X-Request-Timeout-Ms: 300\r\n\r\n" + BODY[:5])
        assert read_answer(connection)[0] == 504
        assert_ended(connection)  # its rest does not come


def test_an_answer_before_the_end_of_its_body_can_be_read(hurried):
    """The connection ends, but not with a reset, which would take the answer away."""
    with connected(hurried) as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n"
        )
        connection.sendall(b"a" * 2**20)
        assert read_answer(connection)[0] == 413
        assert_ended(connection)


def test_a_client_that_does_not_read_is_dropped(hurried):
    """It asks for a long page again and again, until the kernel holds no more for it."""

    def dropped() -> float:
        return hurried.metric("roberta_connections_dropped_total", reason="send_timeout")

    before = dropped()
    with connected(hurried) as connection:
        connection.settimeout(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def ask_on() -> bool:
            try:
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n")
            except OSError:
                return True  # it was dropped
            return False

        until(ask_on)
        until(lambda: dropped() > before)


# --- Numbers ------------------------------------------------------------------------------------------------

FEW = 20


@pytest.fixture(params=SHAPES)
def few(request, tiny_models, tmp_path):
    """A service of one process for HTTP that takes few connections."""
    settings = {"max_connections": FEW, "max_body_memory_mb": 1, "runners": 1}
    if request.param == SHAPES[1]:
        settings["http_workers"] = 1
    with serve_as(request.param, tiny_models, tmp_path, **settings) as service:
        yield service


def test_more_connections_than_allowed_are_refused_and_the_longest_idle_make_room(few):
    opened = [connect(few) for _ in range(FEW + 10)]
    try:
        until(lambda: httpx.get(f"{few.url}/health/live").status_code == 200)  # one that was silent makes room
        refused = few.metric("roberta_rejected_total", reason="too_many_connections")
        assert refused + few.metric("roberta_connections_dropped_total", reason="evicted") >= 10

        def makes_room() -> bool:
            opened.append(connect(few))
            return few.metric("roberta_connections_dropped_total", reason="evicted") >= 1

        until(makes_room)
        told = [connection for connection in opened if has_answer(connection)]
        assert len(told) >= min(refused, 10) / 2  # the client of this test may have been refused, too
        for connection in told:
            assert_refused(connection, 503, "too_many_connections", "try again")
    finally:
        for connection in opened:
            connection.close()


def has_answer(connection: socket.socket) -> bool:
    """Whether something has been sent to a client, which does not wait for it."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(TIMEOUT_S)


LARGE = b" " * 900_000 + BODY  # valid JSON
LARGE_HEAD = b"POST /classify HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(LARGE)


def test_bodies_in_hand_are_bounded_together(few):
    """Of those that come slowly the bytes that are there count."""
    with until(lambda: refuses_another(few)) as first, connected(few) as second:
        assert ask(few).status_code == 200
        first.close()
        second.sendall(LARGE_HEAD + LARGE)
        assert read_answer(second)[0] in (200, 429)  # the end of the first may not have been seen yet
    until(lambda: few.client.post("/classify", content=LARGE).status_code == 200)


def refuses_another(service: Service) -> socket.socket | None:
    """Leave a body unfinished and send another one. Return the connection of the first if the second was refused.

    The service reads both in turns, and refuses the one whose bytes do not fit, which may be the first.
    """
    first = connect(service)
    first.sendall(LARGE_HEAD + LARGE[:700_000])
    if service.client.post("/classify", content=LARGE).status_code == 429:
        return first
    first.close()
    return None


def test_requests_that_are_sent_before_any_is_answered_are_bounded(few):
    """They are a way to use much memory: each small request that waits takes kilobytes."""
    with held(few, "tiny-classify") as gate, connected(few) as connection:
        connection.settimeout(1.0)
        sent = 0
        try:
            while sent < 2**26:
                sent += connection.send((HEAD + b"\r\n" + BODY) * 1000)
        except OSError:
            pass  # the service reads no more
        gate.opened.set()
        connection.settimeout(30)
        statuses = [read_answer(connection)[0] for _ in range(130)]
        assert statuses == [200] * 129 + [400]
    assert sent < 2**26


def test_a_process_without_descriptors_says_so_and_recovers(tiny_models, tmp_path):
    with serve_as(SHAPES[1], tiny_models, tmp_path, http_workers=1) as service:
        assert isinstance(service, SeveralService)
        (worker,) = service.processes("worker")
        limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (40, limits[1]))
        opened = [connect(service) for _ in range(60)]
        until(lambda: '"descriptors"' in service.log())
        for connection in opened:
            connection.close()
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
        until(service.is_ready)
