"""What live tests ask, and expect of an answer's body."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.server import Service

TEXT = "a good film"


def ask(
    service: Service, path: str = "/classify", inputs: object = TEXT, headers: Any = None, **fields: object
) -> httpx.Response:
    return service.client.post(path, json={"inputs": inputs, **fields}, headers=headers)


def assert_error(response: httpx.Response, status: int, error_type: str, *words: str) -> None:
    """Expect an error in the one shape that all have, whose sentence says `words`."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"error", "error_type", "request_id"}
    assert all(isinstance(value, str) for value in body.values())
    assert body["error_type"] == error_type
    assert body["request_id"] == response.headers["x-request-id"] != ""
    for word in words:
        assert word in body["error"]


def assert_alike(answer: Any, expected: Any, tolerance: float) -> None:
    """Expect equal bodies, but for fractions, which may differ by `tolerance`."""
    assert type(answer) is type(expected)
    if isinstance(expected, float):
        assert answer == pytest.approx(expected, abs=tolerance)
    elif isinstance(expected, dict):
        assert answer.keys() == expected.keys()
        for key, value in expected.items():
            assert_alike(answer[key], value, tolerance)
    elif isinstance(expected, list):
        assert len(answer) == len(expected)
        for one, other in zip(answer, expected, strict=True):
            assert_alike(one, other, tolerance)
    else:
        assert answer == expected
