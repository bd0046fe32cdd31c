"""Codings of a body: decoded within a limit, however small what was sent is."""

from __future__ import annotations

import gzip
import json
import time
import zlib

import brotli
import pytest

from app.api.codings import MOST_MEMBERS, coding_of, decode
from app.errors import MalformedBodyError, RequestTooLargeError, UnsupportedCodingError
from tests.app.api.test_application import ask
from tests.app.backends import ToyBackend

BODY = '{"inputs": "ça va"}'.encode() * 50


def bare(body):
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


CODED = [
    ("gzip", gzip.compress(BODY)),
    ("x-gzip", gzip.compress(BODY)),
    ("gzip", gzip.compress(BODY[:10]) + gzip.compress(BODY[10:])),
    ("deflate", zlib.compress(BODY)),
    ("deflate", zlib.compress(BODY, 9)),
    ("deflate", bare(BODY)),
    ("br", brotli.compress(BODY)),
]


@pytest.mark.parametrize(("coding", "coded"), CODED)
def test_what_is_coded_is_decoded(coding, coded):
    assert decode(coded, coding, len(BODY)) == BODY
    with pytest.raises(RequestTooLargeError, match="once it is decoded"):
        decode(coded, coding, len(BODY) - 1)


@pytest.mark.parametrize(("coding", "coded"), CODED)
def test_what_ends_early_goes_on_or_is_something_else_is_malformed(coding, coded):
    for wrong in (coded[:-1], coded[: len(coded) // 2], coded + b"more", b"", b"\x00", BODY):
        with pytest.raises(MalformedBodyError, match=f"not valid {coding}, as Content-Encoding announces"):
            decode(wrong, coding, 10**6)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_body_may_be_empty(coding):
    code = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}[coding]
    assert decode(code(b""), coding, 10) == b""


BOMB = b"\0" * 100_000_000
BOMBS = {"gzip": gzip.compress(BOMB, 9), "deflate": zlib.compress(BOMB, 9), "br": brotli.compress(BOMB, quality=5)}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_given_up_at_the_limit(coding):
    started = time.process_time()
    with pytest.raises(RequestTooLargeError):
        decode(BOMBS[coding], coding, 10**6)
    assert time.process_time() - started < 0.2


def test_a_body_of_many_empty_members_is_refused_before_they_are_read():
    body = gzip.compress(b"") * 200_000
    started = time.process_time()
    with pytest.raises(MalformedBodyError, match=f"more than {MOST_MEMBERS} gzip members"):
        decode(body, "gzip", 10**6)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("given", "coding"),
    [(None, ""), ("", ""), ("identity", ""), ("GZip", "gzip"), ("identity, br", "br"), (" gzip ", "gzip")],
)
def test_the_coding_of_a_body(given, coding):
    assert coding_of({} if given is None else {b"content-encoding": given.encode()}) == coding


@pytest.mark.parametrize("given", ["zstd", "gzip, gzip", "utf-8", "é"])
def test_another_coding_is_refused(given):
    with pytest.raises(UnsupportedCodingError, match="must be one of gzip, deflate, br, or left out"):
        coding_of({b"content-encoding": given.encode("latin-1")})


# --- Over HTTP --------------------------------------------------------------------------------------------

CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "identity": bytes,
}


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "identity", "identity, gzip"])
@pytest.mark.parametrize("text", ["a good film", "a good film " * 20_000], ids=["small", "large"])
def test_a_coded_body_is_what_it_decodes_to(coding, text):
    backend, body = ToyBackend(), json.dumps({"inputs": text}).encode()
    coded = CODERS[coding.rpartition(" ")[2].lower()](body)
    status, _, _, _ = ask(backend=backend, body=coded, headers=[(b"content-encoding", coding.encode())])
    assert status == 200
    assert backend.model.asked[0][0].inputs == text


@pytest.mark.parametrize("coding", ["zstd", "compress", "gzip, br", "chunked"])
def test_an_unknown_coding_is_a_415_that_says_which_there_are(coding):
    backend = ToyBackend()
    status, headers, content, _ = ask(backend=backend, headers=[(b"content-encoding", coding.encode())])
    assert (status, headers["accept-encoding"]) == (415, "gzip, deflate, br")
    assert json.loads(content)["error_type"] == "unsupported_coding"
    assert backend.value("rejected_total", reason="unsupported_coding") == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_body_that_is_too_large_once_decoded_is_refused_and_leaves_nothing_in_hand(coding):
    body, settings = CODERS[coding](b" " * 20_000_000), {"max_body_bytes": 2**20}
    status, _, content, _ = ask(body=body, headers=[(b"content-encoding", coding.encode())], settings=settings)
    assert status == 413
    assert "larger than 1048576 bytes once it is decoded" in json.loads(content)["error"]
