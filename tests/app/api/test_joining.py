"""What reaches the socket, and in how many writes."""

from __future__ import annotations

import asyncio

from app.api.joining import MOST_HELD, JoiningTransport


class Recorder:
    """Stands for the event loop's transport."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def writelines(self, data: list[bytes]) -> None:
        self.calls.append(b"".join(data))

    def close(self) -> None:
        self.calls.append("close")

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.calls.append("eof")

    def is_closing(self) -> bool:
        return "close" in self.calls


def joined(steps, is_unread=False) -> list[object]:
    """Return what reaches the recorder when each step has a turn of an event loop, and where those turns end."""
    recorder = Recorder()

    async def play() -> None:
        transport = JoiningTransport(recorder, asyncio.get_running_loop(), lambda: is_unread)
        for step in steps:
            step(transport)
            recorder.calls.append("turn")
            await asyncio.sleep(0)

    asyncio.run(play())
    return recorder.calls


def test_what_is_written_in_one_turn_of_the_loop_leaves_in_one_write():
    def write(transport):
        transport.write(b"head ")
        transport.write(b"body")

    assert joined([write]) == ["turn", b"head body"]


def test_nothing_is_held_for_longer_than_a_turn():
    assert joined([lambda t: t.write(b"100 Continue"), lambda t: None]) == ["turn", b"100 Continue", "turn"]


def test_a_flush_writes_at_once_and_only_once():
    def write(transport):
        transport.write(b"answer")
        transport.flush()
        transport.flush()

    assert joined([write, lambda t: None]) == [b"answer", "turn", "turn"]


def test_a_large_piece_is_not_held():
    large = b"x" * (MOST_HELD + 1)

    def write(transport):
        transport.write(b"head ")
        transport.write(large)

    assert joined([write, lambda t: None]) == [b"head " + large, "turn", "turn"]


def test_closing_writes_what_is_held_first():
    def write(transport):
        transport.write(b"answer")
        transport.close()

    assert joined([write]) == [b"answer", "close", "turn"]


def test_a_client_that_is_still_sending_can_read_the_answer_to_its_end():
    """The sending side is closed first: what the client sends then must not reset the connection."""

    def write(transport):
        transport.write(b"answer")
        transport.close()
        assert transport.is_closing()
        transport.write(b"what nobody reads")

    assert joined([write, lambda t: t.close()], is_unread=True) == [b"answer", "eof", "turn", "close", "turn"]


def test_everything_else_is_the_transports_own():
    assert joined([lambda t: t.close() if not t.is_closing() else None] * 2) == ["close", "turn", "turn"]


def test_an_answer_to_a_connection_that_was_dropped_goes_nowhere():
    """uvloop raises where a transport that is closed is written to."""
    assert joined([lambda t: t.close(), lambda t: t.write(b"late") or t.flush()]) == ["close", "turn", "turn"]
