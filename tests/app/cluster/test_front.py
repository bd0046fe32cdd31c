"""The application inside a replica has the headers that the service's own server adds, and a quiet lifespan."""

import asyncio

import httpx
import pytest

from app.api.security_headers import security_headers
from app.cluster.front import Front
from app.main import create_app
from app.settings import Settings


@pytest.fixture
def front(tmp_path):
    settings = Settings(models=tmp_path, device="cpu", cors_origins=["https://app.example"])
    return Front(create_app(settings), settings)


def ask(front, method, path, **more):
    async def call():
        transport = httpx.ASGITransport(front)
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            return await client.request(method, path, **more)

    return asyncio.run(call())


@pytest.mark.parametrize(("method", "path"), [("GET", "/health/live"), ("GET", "/nothing"), ("POST", "/classify")])
def test_answers_have_the_headers_of_the_service(front, method, path):
    answer = ask(front, method, path, headers={"X-Request-Id": "mine", "Origin": "https://app.example"})
    for name, value in security_headers(is_secure=False):
        assert answer.headers[name] == value
    assert answer.headers["X-Answered-By"] == "roberta-serve"
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


def test_the_request_id_is_left_to_ray_which_adds_it(front):
    answer = ask(front, "POST", "/classify", headers={"X-Request-Id": "mine"}, content=b"{")
    assert "X-Request-Id" not in answer.headers
    assert answer.json()["request_id"] == "mine"


def test_a_body_that_ray_cannot_bring_is_not_answered(front):
    sent = []

    async def receive():
        raise ConnectionError("of the proxy")

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/classify",
        "headers": [],
        "query_string": b"",
        "scheme": "http",
    }
    with pytest.raises(ConnectionError, match="of the proxy"):
        asyncio.run(front(scope, receive, send))
    assert sent == []


def test_the_lifespan_is_agreed_to(front):
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    said = []

    async def receive():
        return {"type": next(events)}

    async def send(message):
        said.append(message["type"])

    asyncio.run(front({"type": "lifespan"}, receive, send))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
