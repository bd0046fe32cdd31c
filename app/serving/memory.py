"""The memory that the answers in progress take: bounded, so that many requests within their limits stay within it."""

from __future__ import annotations

from app.errors import QueueFullError, RequestTooLargeError

RETRY_S = 1.0


class AnswerMemory:
    """What the outputs and answers of one process take at most, in bytes, as estimated before they are computed."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.held_bytes = most_bytes, 0

    def hold(self, size: int) -> None:
        """Hold `size` bytes until `free` is told so.

        Raises `RequestTooLargeError` when there never are as many, `QueueFullError` when there are not now.
        """
        if size > self.most_bytes:
            raise RequestTooLargeError(
                f"the answer would take about {size // 2**20} MiB, at most {self.most_bytes // 2**20} are there; "
                "ask for less text at once"
            )
        if self.held_bytes + size > self.most_bytes:
            raise QueueFullError("too many large answers are being computed; try again later", RETRY_S)
        self.held_bytes += size

    def free(self, size: int) -> None:
        self.held_bytes -= size
