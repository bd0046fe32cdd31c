"""A request that is over is freed at once, whatever became of it: in a cycle it would keep its body until the collector
comes, and bodies may have megabytes."""

import gc
import socket

import pytest

from app.api.call import Call
from tests.support.answers import TEXT, ask
from tests.support.server import held, until

LARGE = 2**16  # bytes, which are parsed on a thread of their own
REQUESTS = {
    "answered": ({"json": {"inputs": TEXT}}, 200),
    "no JSON": ({"content": b"{"}, 400),
    "an unknown field": ({"json": {"inputs": TEXT, "input": TEXT}}, 422),
    "no such model": ({"json": {"inputs": TEXT, "model": "none"}}, 404),
    "many values": ({"json": {"inputs": [""] * LARGE}}, 413),
    "large and unknown": ({"json": {"inputs": TEXT, "other": "a" * LARGE}}, 422),
    "a body that is too large": ({"content": b"a" * 2**23}, 413),
    "many characters": ({"json": {"inputs": "a film " * 200_000}}, 413),
    "no time": ({"json": {"inputs": TEXT}, "headers": {"X-Request-Timeout-Ms": "1"}}, 504),
}


@pytest.fixture(autouse=True)
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def calls_in_memory() -> int:
    return sum(type(each) is Call for each in gc.get_objects())


@pytest.mark.parametrize(("request_", "status"), REQUESTS.values(), ids=REQUESTS)
def test_what_was_answered_is_freed(tiny_here, request_, status):
    assert tiny_here.client.post("/classify", **request_).status_code == status
    until(lambda: calls_in_memory() == 0, within_s=20)


def test_what_was_refused_for_want_of_room_is_freed(small_here, pool):
    with held(small_here, "tiny-classify") as gate:
        running = pool.submit(ask, small_here)
        gate.wait_for_batch()
        queued = pool.submit(ask, small_here, inputs="a film " * 120)
        until(lambda: small_here.metric("roberta_queue_requests") == 1)
        for _ in range(2):
            assert ask(small_here, inputs="a film " * 120).status_code == 429
        assert ask(small_here, headers={"X-Request-Timeout-Ms": "50"}).status_code == 504
    assert [running.result().status_code, queued.result().status_code] == [200, 200]
    until(lambda: calls_in_memory() == 0, within_s=20)


def test_what_nobody_waits_for_is_freed(small_here):
    body = b'{"inputs": "a"}'
    head = b"POST /classify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    with held(small_here, "tiny-classify") as gate:
        with socket.create_connection((small_here.client.base_url.host, small_here.client.base_url.port)) as leaving:
            leaving.sendall(request)
            gate.wait_for_batch()
        until(lambda: small_here.metric("roberta_cancelled_total") >= 1)
    until(lambda: calls_in_memory() == 0, within_s=20)
