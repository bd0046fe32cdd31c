"""Headers that hypothesis makes up: a value within its bounds, or a refusal."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.api.keys import Keyring
from app.api.request import PRIORITIES, priority_of, request_id_of, timeout_s_of
from app.errors import InvalidRequestError, UnauthorizedError
from app.metrics import Metrics
from app.settings import Settings

KEY = "a-key-of-the-test-0123456789"
VALUE = st.binary(max_size=40) | st.integers().map(lambda number: b"%d" % number) | st.just(b"\xb2")
DEFAULT_S = 30.0


@given(value=VALUE)
@example(value=b"9" * 5000)
@example(value="٣".encode())
def test_a_timeout_is_within_its_bounds_or_refused(value):
    with suppress(InvalidRequestError):
        assert 0 < timeout_s_of({b"x-request-timeout-ms": value}, DEFAULT_S) <= DEFAULT_S


@given(value=VALUE)
def test_a_priority_is_within_its_bounds_or_refused(value):
    with suppress(InvalidRequestError):
        assert priority_of({b"x-priority": value}) in PRIORITIES


@given(value=st.binary(max_size=200))
def test_a_request_id_can_stand_in_a_header_and_a_log(value):
    given_or_made = request_id_of({b"x-request-id": value})
    assert 0 < len(given_or_made) <= 128
    assert given_or_made.isascii()
    assert given_or_made.isprintable()
    assert " " not in given_or_made


@given(value=st.binary(max_size=100) | st.binary(max_size=40).map(lambda value: b"Bearer " + value))
@example(value=b"Bearer")
@example(value=b"Bearer " + b"x" * 100_000)
@example(value=KEY.encode())
@example(value=b"Basic " + KEY.encode())
def test_only_the_key_is_the_key(value):
    ring = Keyring(Settings(api_keys=[KEY]), Metrics(CollectorRegistry()))
    assert ring.check({b"authorization": b"Bearer " + KEY.encode()}, "predict").name
    if value.lower().partition(b" ")[0] != b"bearer" or value.partition(b" ")[2].strip() != KEY.encode():
        with pytest.raises(UnauthorizedError):
            ring.check({b"authorization": value}, "predict")
