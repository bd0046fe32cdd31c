"""A connection's requests that are refused by their head: see `app.api.gate`."""

from __future__ import annotations

import time
from typing import cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.arrival import ARRIVED
from app.api.exchange import ExchangeProtocol
from app.api.gate import TARGET, Gate, Refused
from app.api.joining import JoiningTransport
from app.api.pace import AGAIN_S, Pace


class RefusingProtocol(ExchangeProtocol):
    """Answers a request whose head is complete, if `gate` refuses it, and reads over its body."""

    gate: Gate | None = None
    pace: Pace
    is_skipping = False  # the body that comes belongs to a refused request
    was_refused = False  # a request has had such an answer
    _unsent: bytes | None = None  # a refusal that waits for its turn
    _refused_at = float("-inf")  # when the last refusal was sent

    @property
    def is_held(self) -> bool:
        """Whether a refusal waits for its turn."""
        return self._unsent is not None

    def refuses(self, version: str) -> bool:
        """Whether the request whose head is complete is refused, and has its answer."""
        scope, cycle = self.scope, self.cycle
        if self.gate is None or (cycle is not None and not cycle.response_complete) or self.expect_100_continue:
            return False
        scope[TARGET] = self.url  # type: ignore[literal-required]
        arrived: float = scope[ARRIVED]  # type: ignore[literal-required]
        if self.parser.get_method() != b"POST" or (refused := self.gate.check(self.url, self.headers, arrived)) is None:
            return False
        is_again = time.monotonic() - self._refused_at < AGAIN_S
        self.is_skipping = True
        self._unsent = self._render(refused, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        self.pace.send(self.send_refusal, again=is_again, given_s=refused.given_s)
        if self.is_held:
            self.flow.pause_reading()  # until it has its answer: nor may it ask the next one meanwhile
        return True

    def send_refusal(self) -> None:
        """Send the refusal that waits, if there is one."""
        answer, self._unsent = self._unsent, None
        if answer is None or self.transport.is_closing():
            return
        self.flow.resume_reading()
        cast(JoiningTransport, self.transport).write_all(answer)
        if b"\r\nconnection: close\r\n" in answer:
            self.transport.close()
        self.was_refused, self._refused_at = True, time.monotonic()
        self.wait()

    def wait(self) -> None:
        """Wait for the client: nothing of its is being answered."""

    def _render(self, refused: Refused, *, keep_alive: bool) -> bytes:
        lines = [STATUS_LINE[refused.status], self._head.lines(self.server_state.default_headers)]
        lines += [b"%s: %s\r\n" % header for header in refused.headers]
        lines += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", refused.body)
        return b"".join(lines)
