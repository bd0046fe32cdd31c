"""Heads on whose end two implementations may disagree, and what is no HTTP at all."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from tests.chaos.client import raw
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage

POST = b"POST /classify HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n"
BODY = b'{"inputs": "a"}'
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: chaos\r\n\r\n"
# None may be answered twice.
SMUGGLING = (
    POST + b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 15\r\nContent-Length: 5\r\n\r\n" + BODY + SMUGGLED,
    POST + b"Content-Length: +15\r\n\r\n" + BODY + SMUGGLED,
    POST + b"Content-Length: 15, 15\r\n\r\n" + BODY + SMUGGLED,
    POST + b"Content-Length: 0x0f\r\n\r\n" + BODY + SMUGGLED,
    POST + b"Content-Length: -1\r\n\r\n" + BODY + SMUGGLED,
    POST + b"Content-Length : 15\r\n\r\n" + BODY + SMUGGLED,
    POST + b" Content-Length: 15\r\n\r\n" + BODY + SMUGGLED,
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + BODY + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + BODY + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X-Injected: a\x00b\r\nContent-Length: 15\r\n\r\n" + BODY,
    POST + b"X-Injected: a\rContent-Length: 99\r\nContent-Length: 15\r\n\r\n" + BODY,
    b"POST /classify HTTP/1.1\nHost: chaos\nContent-Length: 15\n\n" + BODY,
    b"POST /classify HTTP/9.9\r\nHost: chaos\r\nContent-Length: 15\r\n\r\n" + BODY,
    b"POST /classify\r\n\r\n",
    b"POST http://elsewhere/classify HTTP/1.1\r\nHost: chaos\r\nContent-Length: 15\r\n\r\n" + BODY,
    b"CONNECT chaos:443 HTTP/1.1\r\nHost: chaos\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"GET /models/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: chaos\r\n\r\n",
    b"GET /models/%00 HTTP/1.1\r\nHost: chaos\r\n\r\n",
    b"GET //health/live HTTP/1.1\r\nHost: chaos\r\n\r\n",
    b"GET /health/live HTTP/1.1\r\nHost: chaos\r\nX-Request-Id: a\tb\r\n\r\n",
)


class Smuggling(Scenario):
    fault = "heads on whose end implementations disagree, control characters, other protocols"
    is_smoke = True
    seconds = 1.0

    async def play(self, stage: Stage) -> None:
        answers = await asyncio.gather(*(self.send(stage, each) for each in SMUGGLING))
        for request, answer in zip(SMUGGLING, answers, strict=True):
            statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
            stage.tally.sent += 1
            if all(status < 500 or status == 501 for status in statuses) and b"/smuggled" not in answer:
                stage.tally.refused += 1
            else:
                stage.tally.wrong += 1
                stage.tally.note(f"{request[-60:]!r} was answered {statuses}")
        probe = await stage.client.get("/health/live")
        stage.tally.claim(probe.reply is not None and probe.reply.status == 200, "the service is not well afterwards")

    async def send(self, stage: Stage, request: bytes) -> bytes:
        """Return all that is answered within a second."""
        loop, sock = asyncio.get_running_loop(), await raw(stage.host, stage.port)
        answer = b""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await loop.sock_sendall(sock, request)
                while piece := await loop.sock_recv(sock, 2**16):
                    answer += piece
        sock.close()
        return answer
