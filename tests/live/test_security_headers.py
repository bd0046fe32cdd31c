"""Every answer tells a browser to be careful with it: pages, answers, errors, and what never became a request."""

from __future__ import annotations

import pytest

from app.api.security_headers import HEADERS
from tests.support.answers import ask
from tests.support.raw import connected, read_whole_answer


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", path) for path in ("/", "/docs", "/openapi.json", "/models", "/metrics", "/health/live", "/nowhere")]
    + [("HEAD", "/"), ("DELETE", "/classify"), ("POST", "/classify"), ("POST", "/nowhere")],
)
def test_pages_and_errors_have_them(tiny, method, path):
    answer = tiny.client.request(method, path)
    assert [answer.headers.get_list(name) for name, _ in HEADERS] == [[value] for _, value in HEADERS]
    assert "strict-transport-security" not in answer.headers


def test_answers_have_them(tiny):
    answer = ask(tiny)
    assert answer.status_code == 200
    assert dict(HEADERS).items() <= {name.title(): value for name, value in answer.headers.items()}.items()


def test_what_never_became_a_request_has_them(tiny):
    with connected(tiny) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        status, headers, _ = read_whole_answer(connection)
    assert status == 400
    assert {name.lower(): value for name, value in HEADERS}.items() <= headers.items()
