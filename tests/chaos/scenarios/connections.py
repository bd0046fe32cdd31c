"""Connections that are many, silent, slow, endless or gone."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from tests.chaos.client import Question, forget, raw
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage, during

HEAD_WITHIN_S = 120.0  # a deadline of 30 s and a keep-alive of 75 s, one after the other
MOST_HEAD_BYTES = 2**26  # that a scenario sends of one head
PIECE = b"x" * 2**16
POST = b"POST /classify HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n"


async def is_closed(sock: socket.socket, within_s: float) -> bool:
    """Whether the service ends a connection in time; what it says before is read."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            while await loop.sock_recv(sock, 2**16):
                pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


class Silent(Scenario):
    fault = "300 connections: silent, half a request line, a byte of a head or of a body a second"
    seconds = HEAD_WITHIN_S

    async def play(self, stage: Stage) -> None:
        short = await stage.learn(stage.material.short(8))
        begun = [b"", b"POST /classi", POST, POST + b"Content-Length: 50\r\n\r\n{"]
        connections = [(await raw(stage.host, stage.port), begun[number % 4]) for number in range(300)]
        dripping = [asyncio.create_task(self.drip(*each)) for each in connections]
        stage.tally.leave(len(connections))
        async with stage.watched(short[0]) as watch, stage.load(short, 2):
            waiting = [is_closed(each, HEAD_WITHIN_S) for each, _ in connections]
            closed = await asyncio.gather(*waiting)
        for task in dripping:
            task.cancel()
        for each, _ in connections:
            each.close()
        stage.tally.claim(all(closed), f"{closed.count(False)} of 300 are still open after {HEAD_WITHIN_S:.0f} s")
        watch.claim(stage.tally)

    async def drip(self, sock: socket.socket, begun: bytes) -> None:
        """Send the beginning, and then, where there is one, a byte a second of what may follow."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            await loop.sock_sendall(sock, begun)
            while begun.startswith(POST):
                await asyncio.sleep(1)
                await loop.sock_sendall(sock, b"x")


class FewDescriptors(Scenario):
    fault = "600 idle connections to a service that may open 256"
    seconds = 6.0
    prefix = ("prlimit", "--nofile=256:256")

    async def play(self, stage: Stage) -> None:
        connections = []
        for _ in range(600):
            with suppress(OSError):
                connections.append(await raw(stage.host, stage.port))
        stage.tally.leave(len(connections))
        await asyncio.sleep(1)
        probes = [await stage.client.get("/health/live", 2.0) for _ in range(10)]
        failed = sum(each.reply is None for each in probes)
        stage.tally.claim(not failed, f"{failed} of 10 probes got no answer")
        stage.tally.claim("connection" in stage.service.log().lower(), "no line in the log speaks of connections")
        for each in connections:
            each.close()
        recovered = await stage.until_status("/health/live", 200, 10)
        stage.tally.claim(recovered is not None, "no probe is answered after the connections have left")


class EndlessHeads(Scenario):
    fault = "heads without end: many headers, one header, the URL"

    async def play(self, stage: Stage) -> None:
        [short] = await stage.learn(stage.material.short(1))
        headers = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(64))
        for begun, piece in ((POST, headers), (POST + b"X-Long: ", PIECE), (b"GET /", PIECE)):
            async with stage.watched(short) as watch:
                sent, answer = await self.send(stage, begun, piece)
                await asyncio.sleep(0.3)
            stage.tally.leave(1)
            shape = begun[-12:].decode().strip()
            claim = stage.tally.claim
            claim(sent < 2**25, f"{shape!r}: {sent / 2**20:.0f} MB were taken, the answer {answer[:12]!r}")
            claim(b" 200 " not in answer[:16], f"{shape!r}: answered {answer[:16]!r}")
            claim(watch.longest_ms < 500, f"{shape!r}: a probe took {watch.longest_ms:.0f} ms")
            claim(watch.growth_mb < 50, f"{shape!r}: memory grew by {watch.growth_mb:.0f} MB")

    async def send(self, stage: Stage, begun: bytes, piece: bytes) -> tuple[int, bytes]:
        """Send until it is refused; return the bytes that were taken, and the answer."""
        loop, sent, sock = asyncio.get_running_loop(), 0, await raw(stage.host, stage.port)
        answer = b""
        try:
            async with asyncio.timeout(30):
                await loop.sock_sendall(sock, begun)
                while sent < MOST_HEAD_BYTES:
                    await loop.sock_sendall(sock, piece)
                    sent += len(piece)
                await loop.sock_sendall(sock, b"\r\nContent-Length: 0\r\n\r\n")
                answer = await loop.sock_recv(sock, 2**16)
        except (OSError, TimeoutError):
            with suppress(OSError):
                answer = sock.recv(2**16)
        finally:
            sock.close()
        return sent, answer


class EndlessBodies(EndlessHeads):
    fault = "bodies without end, in chunks and announced as larger than the limit"
    seconds = 2.0

    async def play(self, stage: Stage) -> None:
        [short] = await stage.learn(stage.material.short(1))
        chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
        chunked, announced = b"Transfer-Encoding: chunked\r\n\r\n", b"Content-Length: 99999999999\r\n\r\n"
        for begun, piece in ((POST + chunked, chunk), (POST + announced, PIECE)):
            async with stage.watched(short) as watch:
                sent, answer = await self.send(stage, begun, piece)
            stage.tally.leave(1)
            stage.tally.claim(b" 413 " in answer[:16], f"answered {answer[:16]!r} after {sent / 2**20:.0f} MB")
            watch.claim(stage.tally, growth_mb=50, within_ms=500)


class SlowReaders(Scenario):
    fault = "60 clients that never read their answers of a megabyte"
    seconds = 15.0

    async def play(self, stage: Stage) -> None:
        short = await stage.learn(stage.material.short(8))
        large = Question.of("/fill-mask", {"inputs": "[MASK] " + "a " * 400, "parameters": {"top_k": 1000}})
        sockets = []
        async with stage.watched(short[0]) as watch, stage.load(short, 2):
            for _ in range(60):
                sock = await raw(stage.host, stage.port)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                await asyncio.get_running_loop().sock_sendall(sock, large.request * 4)
                sockets.append(sock)
            stage.tally.leave(240)
            await asyncio.sleep(stage.seconds)
        for sock in sockets:
            sock.close()
        watch.claim(stage.tally, growth_mb=300)


class Leavers(Scenario):
    fault = "clients that leave at any moment"
    is_smoke = True
    seconds = 3.0

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(60))
        dice, loop = stage.material.dice, asyncio.get_running_loop()
        end = loop.time() + stage.seconds

        async def leave() -> None:
            while loop.time() < end:
                question = dice.choice(questions)
                connection = await stage.client.open()
                connection.ask(question.request[: dice.randint(1, len(question.request))]).add_done_callback(forget)
                await asyncio.sleep(dice.random() * 0.05)
                connection.close()
                stage.tally.leave(1)

        async with stage.watched(), stage.load(questions, 8):
            await asyncio.gather(*(leave() for _ in range(8)))
        waiting = await stage.until(lambda: stage.service.metric("roberta_queue_requests") == 0, 5)
        stage.tally.claim(waiting is not None, "requests of clients that left are still queued")


class Pipelined(Scenario):
    fault = "40 requests at a time down one connection"
    is_smoke = True
    seconds = 2.0

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.mixed(40))
        for _ in during(stage.seconds):
            connection = await stage.client.open()
            replies = await asyncio.gather(
                *(connection.ask(question.request) for question in questions), return_exceptions=True
            )
            for question, reply in zip(questions, replies, strict=True):
                stage.tally.sent += 1
                if isinstance(reply, BaseException):
                    stage.tally.lost += 1
                elif reply.status == 200 and stage.tally.truth.agrees(question.path, question.body, reply.body):
                    stage.tally.right += 1
                else:
                    stage.tally.wrong += 1
                    stage.tally.note(f"pipelined {question.path}: {reply.status} {reply.body[:60]!r}")
            connection.close()


class Flood(Scenario):
    fault = "a flood of connections that say nothing and leave"

    async def play(self, stage: Stage) -> None:
        questions = await stage.learn(stage.material.short(32))

        async def knock() -> None:
            for _ in during(stage.seconds):
                with suppress(OSError):
                    (await raw(stage.host, stage.port)).close()
                await asyncio.sleep(0.002)

        async with stage.watched() as watch, stage.load(questions, 4):
            await asyncio.gather(*(knock() for _ in range(8)))
        watch.claim(stage.tally)
        open_now = await stage.until(lambda: stage.descriptors() < 400, 5)
        stage.tally.claim(open_now is not None, f"{stage.descriptors()} descriptors are open afterwards")
