"""Since when bytes may have been there, turn by turn of an event loop."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import uvloop

from app.api.arrival import TurnClock

BUSY_S = 0.2
CLOSE_S = 0.1  # half of it: what a busy machine may add without changing what is meant


class Reader(asyncio.Protocol):
    """Dates what it reads, and keeps the loop busy when it is told to."""

    def __init__(self, clock: TurnClock) -> None:
        self.clock = clock
        self.dated: list[float] = []
        self.read: list[float] = []

    def data_received(self, data: bytes) -> None:
        self.dated.append(self.clock.date())
        self.read.append(time.monotonic())
        if data == b"work":
            asyncio.get_running_loop().call_soon(time.sleep, BUSY_S)


def play(steps) -> list[Reader]:
    """Run steps on uvloop with two connections; return their readers."""

    async def main() -> list[Reader]:
        loop = asyncio.get_running_loop()
        clock = TurnClock(loop)
        readers, clients = [], []
        for _ in range(2):
            client, server = socket.socketpair()
            _, reader = await loop.connect_accepted_socket(lambda: Reader(clock), server)
            readers.append(reader)
            clients.append(client)
        for step in steps:
            before = sum(len(reader.read) for reader in readers)
            sent = step(*clients)
            while sum(len(reader.read) for reader in readers) < before + sent:
                await asyncio.sleep(0.001)
        for client in clients:
            client.close()
        return readers

    return uvloop.run(main())


def test_what_wakes_the_loop_has_just_arrived():
    def send(one, other):
        return one.send(b"a") and 1

    first, _ = play([send, send])
    assert all(read - dated < CLOSE_S for dated, read in zip(first.dated, first.read, strict=True))


def test_what_comes_while_the_loop_is_busy_is_dated_to_the_beginning_of_that_turn():
    def send(one, other):
        one.send(b"work")
        threading.Timer(BUSY_S / 2, other.send, [b"b"]).start()
        return 2

    first, other = play([send])
    assert other.read[0] - first.read[0] >= BUSY_S - CLOSE_S
    assert other.dated[0] - first.read[0] < CLOSE_S


def test_the_clock_rests_when_nothing_is_read():
    clocks = []

    async def main() -> None:
        clock = TurnClock(asyncio.get_running_loop())
        clocks.append(clock)
        clock.date()
        for _ in range(5):
            await asyncio.sleep(0)
        assert clock.previous == clock.before_previous == 0.0
        before = time.monotonic()
        assert clock.date() >= before

    uvloop.run(main())
