"""Ask a service over many connections at once, from a process of its own: `python -m tests.support.flood ...`.

SIGINT ends it early. Prints one JSON object: how many answers there were of each status, and how many connections
failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter


async def ask(
    host: str, port: int, request: bytes, until: float, pause_s: float, seen: Counter[str], ending: asyncio.Event
) -> None:
    """Ask again and again over one connection, and over another when it ends."""

    def is_over() -> bool:
        return ending.is_set() or time.monotonic() >= until

    while not is_over():
        try:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                while not is_over():
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    lines = head.lower().split(b"\r\n")
                    [length] = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
                    await reader.readexactly(length)
                    seen[head[9:12].decode()] += 1
                    if b"connection: close" in lines:
                        break
                    await asyncio.sleep(pause_s)
            finally:
                writer.close()
        except (OSError, EOFError):
            seen["failed"] += 1
            await asyncio.sleep(0.05)


async def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("port", type=int)
    options.add_argument("--connections", type=int, default=8)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--text", default="a good film")
    options.add_argument("--timeout-ms", type=int, default=0)
    options.add_argument("--pause-ms", type=float, default=0.0, help="between an answer and the next request")
    given = options.parse_args()
    body = json.dumps({"inputs": given.text}).encode()
    head = f"POST /classify HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n"
    if given.timeout_ms:
        head += f"X-Request-Timeout-Ms: {given.timeout_ms}\r\n"
    request, until = f"{head}\r\n".encode() + body, time.monotonic() + given.seconds
    seen: Counter[str] = Counter()
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGINT, ending.set
    )  # no more requests; the answers are awaited
    asking = [
        asyncio.create_task(ask("127.0.0.1", given.port, request, until, given.pause_ms / 1000, seen, ending))
        for _ in range(given.connections)
    ]
    _, unanswered = await asyncio.wait(asking, timeout=given.seconds + 1)
    for task in unanswered:
        task.cancel()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main())
