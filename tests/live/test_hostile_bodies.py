"""One client's worst body, within the limits or beyond, delays no short request of another."""

from __future__ import annotations

import time

import httpx
import pytest

MEGABYTES_4 = 4_000_000
BODIES = {
    "two million wrong labels": ("ner", b'{"inputs":"a","parameters":{"ignore_labels":[' + b"1," * 2_000_000 + b"1]}}"),
    "unknown fields": ("classify", b'{"inputs":"a"' + b"".join(b',"%d":1' % i for i in range(300_000)) + b"}"),
    "a million texts": ("classify", b'{"inputs":[' + b'"a",' * 1_000_000 + b'"a"]}'),
    "too many characters": ("ner", b'{"inputs":"' + b"a " * (MEGABYTES_4 // 2) + b'"}'),
    "a long text of names": ("ner", b'{"inputs":"' + b"Angela Merkel met " * 50_000 + b'"}'),
    "a long text for its first window": ("ner", b'{"truncate":true,"inputs":"' + b"a " * 490_000 + b'"}'),
    "a long text with masks": ("fill-mask", b'{"truncate":true,"inputs":"<mask> ' + b"a " * 490_000 + b'"}'),
    "a long word": ("ner", b'{"inputs":"' + b"a" * 900_000 + b'"}'),
    "nothing but wide spaces and a letter": ("ner", b'{"inputs":"a' + "\u3000".encode() * 900_000 + b'"}'),
    "a thousand texts": ("classify", b'{"inputs":[' + b'"a good film",' * 1000 + b'"a"]}'),
}
LONGEST_S = 1.5  # without bounds these bodies take 4 to 20 s
SHARE = 10  # on a machine that is busy with something else: this many times what requests take without such a body


def seconds(call):
    started = time.monotonic()
    assert call().status_code == 200
    return time.monotonic() - started


def ask_both(service):
    """Return the seconds that a short request and a probe take."""
    short = {"inputs": "a good film"}
    return [
        seconds(lambda: httpx.post(f"{service.url}/classify", json=short, timeout=60)),
        seconds(lambda: httpx.get(f"{service.url}/health/live", timeout=60)),
    ]


@pytest.mark.parametrize("kind", BODIES)
def test_a_short_request_is_answered_meanwhile(kind, tiny, pool):
    task, body = BODIES[kind]
    without = max(longest for _ in range(3) for longest in ask_both(tiny))
    hostile = pool.submit(httpx.post, f"{tiny.url}/{task}", content=body, timeout=60)
    waits = []
    while not hostile.done():
        waits += ask_both(tiny)
    assert hostile.result().status_code in (200, 413, 422)
    assert max(waits, default=0.0) < max(LONGEST_S, SHARE * without)
