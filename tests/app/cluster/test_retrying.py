"""A request whose replica is lost is sent again, with its body; what a replica has answered is passed on."""

import asyncio
import json

import pytest

from app.cluster import retrying
from app.cluster.refusing import ANSWERED_BY
from app.cluster.retrying import MOST_BYTES, TRIES, Retrying

BODY = [
    {"type": "http.request", "body": b'{"inputs":', "more_body": True},
    {"type": "http.request", "body": b' "a"}', "more_body": False},
]


class Proxy:
    """Answers with one status after the other; `by_replica` are those that a replica sends."""

    def __init__(self, *statuses, by_replica=()):
        self.statuses, self.by_replica, self.bodies = list(statuses), by_replica, []

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        status = self.statuses.pop(0)
        headers = [(b"X-Answered-By", ANSWERED_BY[1])] if status in self.by_replica else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": str(status).encode()})


def ask(proxy, body=BODY, path="/classify", headers=()):
    """Return the status, the headers and the body of the answer."""
    left, sent = iter(body), []

    async def receive():
        return next(left, {"type": "http.disconnect"})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"x-request-id", b"mine"), *headers]}
    asyncio.run(Retrying(proxy)(scope, receive, send))
    start, end = sent
    return start["status"], dict(start["headers"]), end["body"]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE_S", 0.0)


def test_it_is_asked_again_until_a_replica_answers():
    proxy = Proxy(500, 503, 200)
    assert ask(proxy)[0] == 200
    assert proxy.bodies == [b'{"inputs": "a"}'] * 3


@pytest.mark.parametrize("status", [500, 503, 504])
def test_errors_of_a_replica_are_answers(status):
    proxy = Proxy(status, by_replica=(status,))
    assert ask(proxy)[::2] == (status, str(status).encode())


def test_what_the_proxy_refuses_is_not_asked_again():
    assert ask(Proxy(404))[0] == 404


def test_in_the_end_it_is_said_as_the_service_says_it():
    status, headers, body = ask(Proxy(*[500] * TRIES))
    assert (status, headers[b"retry-after"]) == (503, b"1")
    said = json.loads(body)
    assert (said["error_type"], said["request_id"]) == ("engine_lost", "mine")
    assert "send it again" in said["error"]


def test_openai_s_clients_read_the_loss_in_their_form():
    said = json.loads(ask(Proxy(*[500] * TRIES), path="/v1/embeddings")[2])
    assert said["error"] | {"message": ""} == {
        "message": "",
        "type": "server_error",
        "param": None,
        "code": "engine_lost",
    }
    assert "send it again" in said["error"]["message"]
    assert isinstance(json.loads(ask(Proxy(*[500] * TRIES), path="/v1/endpoints/a:predict")[2])["error"], str)


def test_a_large_body_is_not_kept():
    piece = {"type": "http.request", "body": b"x" * MOST_BYTES, "more_body": True}
    proxy = Proxy(500)
    assert ask(proxy, [piece, piece, BODY[-1]])[0] == 503
    assert len(proxy.bodies[0]) > 2 * MOST_BYTES


def test_paths_of_ray_are_left_to_it():
    assert ask(Proxy(503), path="/-/healthz")[::2] == (503, b"503")


@pytest.mark.parametrize("path", ["/admin/reload", "/admin/models/a/load"])
def test_orders_are_sent_once(path):
    status, _, body = ask(Proxy(503), path=path)
    assert status == 503
    assert json.loads(body)["error_type"] == "engine_lost"


def test_an_error_of_the_proxy_itself_is_no_answer(caplog):
    proxy = Proxy(200)

    async def fails_once(scope, receive, send, failed=[]):  # noqa: B006
        if not failed:
            failed.append(True)
            raise KeyError("route")
        await proxy(scope, receive, send)

    assert ask(fails_once)[0] == 200
    assert "was not answered" in caplog.text


class Hanging:
    """Has no replica for a request, and notes how long each is to wait."""

    def __init__(self, *, swallows):
        self.swallows, self.left_ms = swallows, []

    async def __call__(self, scope, receive, send):
        self.left_ms.append(int(dict(scope["headers"])[b"x-request-timeout-ms"]))
        if len(self.left_ms) == 1:
            return
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not self.swallows:
                raise


@pytest.mark.parametrize("swallows", [False, True], ids=["cancelled", "swallowed"])
def test_it_is_asked_within_its_deadline(monkeypatch, swallows):
    monkeypatch.setattr(retrying, "GRACE_S", 0.0)
    proxy = Hanging(swallows=swallows)
    status, _, body = ask(proxy, headers=[(b"x-request-timeout-ms", b"100")])
    assert (status, json.loads(body)["error_type"]) == (504, "deadline_exceeded")
    first, second = proxy.left_ms
    assert first >= second > 0


def test_nothing_is_asked_after_the_deadline(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE_S", 0.05)
    proxy = Proxy(500, 200)
    assert ask(proxy, headers=[(b"x-request-timeout-ms", b"1")])[0] == 504
    assert len(proxy.bodies) == 1
