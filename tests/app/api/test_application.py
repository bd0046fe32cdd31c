"""What every request meets first: an id, and for predictions the short way."""

import asyncio

import pytest
from fastapi import Response

from app.api.entry import EntryMiddleware
from app.errors import InvalidRequestError


def play(method="POST", path="/classify", kind="http", error=None, headers=()):
    """Return who answered, what was sent, and the scope that it saw."""
    sent, seen = [], []

    def endpoint(name):
        async def answer(scope, receive, send):
            seen.append((name, scope))
            if error is not None:
                raise error

        return answer

    async def send(message):
        sent.append(message)

    def explain(request, error):
        return Response(f"{request.state.request_id}: {error.message}", error.status)

    entry = EntryMiddleware(endpoint("app"), {"/classify": endpoint("prediction")}, explain)
    scope = {"type": kind, "method": method, "path": path, "headers": list(headers)}
    asyncio.run(entry(scope, None, send))
    ((name, scope),) = seen
    return name, sent, scope


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/classify", "prediction"),
        ("GET", "/classify", "app"),
        ("POST", "/classify/", "app"),
        ("POST", "/prefix/classify", "app"),
        ("POST", "/models/sentiment", "app"),
    ],
)
def test_only_a_prediction_goes_straight_to_its_endpoint(method, path, expected):
    name, _, scope = play(method, path)
    assert name == expected
    assert len(scope["state"]["request_id"]) == 32


def test_the_caller_s_id_is_kept():
    assert play(headers=[(b"x-request-id", b"mine")])[2]["state"]["request_id"] == "mine"


def test_what_is_not_http_is_left_alone():
    name, _, scope = play(kind="lifespan")
    assert name == "app"
    assert "state" not in scope


def test_an_error_of_a_prediction_is_answered_and_a_defect_is_not_hidden():
    _, sent, _ = play(error=InvalidRequestError("wrong"), headers=[(b"x-request-id", b"mine")])
    assert [message.get("status") for message in sent] == [422, None]
    assert sent[1]["body"] == b"mine: wrong"
    with pytest.raises(ZeroDivisionError):
        play(error=ZeroDivisionError())
