"""What an exchange sends in one piece is what uvicorn sends of the same answer in two."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from app.api.exchange import DefaultHead, Exchange, exchange_of

OWN = [(b"date", b"today"), (b"x-frame-options", b"DENY")]
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"4"), (b"x-model", b"toy:1")]


class Transport:
    def __init__(self) -> None:
        self.sent, self.is_closed = b"", False

    def write(self, data: bytes) -> None:
        self.sent += data

    write_all = write

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


def make_exchange(*, keep_alive=True, write_paused=False):
    flow = SimpleNamespace(write_paused=write_paused, resume_reading=lambda: None)
    exchange = Exchange(
        scope={"method": "POST"},
        transport=Transport(),
        flow=flow,
        logger=None,
        access_logger=None,
        access_log=False,
        default_headers=OWN,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    exchange.default_lines = DefaultHead().lines(OWN)
    return exchange


async def send_in_two(exchange, status, headers, body):
    await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
    await exchange.send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("status", [200, 429])
def test_one_piece_is_the_same_as_two(status, keep_alive):
    whole, parts = make_exchange(keep_alive=keep_alive), make_exchange(keep_alive=keep_alive)
    assert whole.answer(status, HEADERS, b"[[]]")
    asyncio.run(send_in_two(parts, status, HEADERS, b"[[]]"))
    assert whole.transport.sent == parts.transport.sent
    assert whole.response_complete
    assert whole.transport.is_closed is parts.transport.is_closed is not keep_alive


def test_a_client_that_is_too_slow_is_waited_for_in_the_other_way():
    exchange = make_exchange(write_paused=True)
    assert not exchange.answer(200, HEADERS, b"[[]]")
    assert exchange.transport.sent == b""


def test_nothing_is_sent_to_a_client_that_left():
    exchange = make_exchange()
    exchange.disconnected = True
    assert exchange.answer(200, HEADERS, b"[[]]")
    assert exchange.transport.sent == b""


def test_a_body_is_taken_once_and_only_whole():
    async def play():
        exchange = make_exchange()
        exchange.body += b"{}"
        assert exchange.take_body() is None  # more of it is to come
        exchange.more_body = False
        exchange.message_event.set()
        assert exchange.take_body() == b"{}"
        waiting = asyncio.create_task(exchange.receive())  # for the client to leave
        await asyncio.sleep(0)
        assert not waiting.done()
        exchange.disconnected = True
        exchange.message_event.set()
        assert await waiting == {"type": "http.disconnect"}

    asyncio.run(play())


def test_the_exchange_of_another_server_is_none():
    async def send(message):
        pass

    assert exchange_of(send) is None
    assert exchange_of(make_exchange().send) is not None


def test_default_headers_are_rendered_once_for_each_list():
    head, headers = DefaultHead(), list(OWN)
    assert head.lines(headers) is head.lines(headers) == b"date: today\r\nx-frame-options: DENY\r\n"
    assert head.lines([(b"date", b"tomorrow")]) == b"date: tomorrow\r\n"
