"""What Ray's own proxy makes of each error of Ray, and what a client is told: the answer of a replica, or a 503."""

import asyncio
import json
import pickle

import pytest

pytest.importorskip("ray.serve._private.proxy", reason="Ray is not installed: pip install -e '.[ray]'")

from ray import ActorID
from ray import exceptions as of_ray
from ray.serve import exceptions as of_serve
from ray.serve._private.common import DeploymentID
from ray.serve._private.proxy import HTTPProxy
from ray.serve._private.proxy_request_response import ASGIProxyRequest, ResponseStatus
from ray.serve.handle import DeploymentResponseGenerator

from app.cluster import retrying
from app.cluster.refusing import ANSWERED_BY
from app.cluster.retrying import TRIES, Retrying

START = {"type": "http.response.start", "status": 200, "headers": [ANSWERED_BY]}
PART = {"type": "http.response.body", "body": b"[", "more_body": True}
END = {"type": "http.response.body", "body": b"]"}
WAIT = object()  # for ever
REQUEST = {"type": "http.request", "body": b"{}", "more_body": False}


def of_task(cause):
    return of_ray.RayTaskError("handle_request", "Traceback", cause)


LOSSES = [
    of_ray.ActorDiedError(),
    of_ray.ActorUnavailableError("Socket closed", ActorID.nil().binary()),
    of_ray.NodeDiedError("the node was lost"),
    of_ray.OutOfMemoryError("the node had no memory left"),
    of_ray.RaySystemError("the raylet ended"),
    of_ray.WorkerCrashedError(),
    of_task(KeyError("Request ID a not found.")),
    of_task(of_ray.ActorDiedError()),
    of_serve.RequestCancelledError("a"),
    of_serve.ReplicaUnavailableError("a"),
    of_serve.RayServeException("an upstream actor died"),
    of_serve.DeploymentUnavailableError(DeploymentID(name="Replica", app_name="roberta")),
    ConnectionResetError("Connection reset by peer"),
]
REFUSALS = [
    (of_serve.BackPressureError(9, 9), 503, "engine_lost"),
    (of_serve.BackPressureError(9, 9, status_code=429, retry_after_s=3.0), 429, "queue_full"),
    (TimeoutError(), 504, "deadline_exceeded"),
]


class Answering(DeploymentResponseGenerator):
    """What a handle returns: it yields the messages of a replica, and raises where there is an error among them."""

    def __init__(self, messages):
        self._messages = iter(messages)

    async def __anext__(self):
        message = next(self._messages, None)
        if message is WAIT:
            await asyncio.Event().wait()
        if message is None:
            raise StopAsyncIteration
        if isinstance(message, BaseException):
            raise message
        return pickle.dumps([message])

    def cancel(self):
        self._messages = iter(())

    def cancelled(self):
        return False


class Handle:
    """Answers one call after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def remote(self, _):
        return Answering(self.answers.pop(0))


def proxy_before(handle):
    """Return Ray's proxy with this handle, as an ASGI application."""
    proxy = HTTPProxy.__new__(HTTPProxy)  # its constructor asks a cluster for metrics
    proxy.request_timeout_s, proxy.self_actor_name, proxy.asgi_receive_queues = None, "proxy", {}

    async def application(scope, receive, send):
        asked = ASGIProxyRequest(scope, receive, send)
        async for message in proxy.send_request_to_replica("a", "a", handle, asked):
            if not isinstance(message, ResponseStatus):
                await send(message)

    return application


def ask(handle, path="/classify", receive=None):
    """Return what is sent to the client."""
    sent, left = [], iter([REQUEST])

    async def receive_body():
        if (message := next(left, None)) is None:
            await asyncio.Event().wait()  # the client waits
        return message

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"x-request-id", b"mine")]}
    asyncio.run(Retrying(proxy_before(handle))(scope, receive or receive_body, send))
    return sent


def told(sent):
    """Return the status and the code of an error, which has a header that says when to ask again."""
    start, end = sent
    said = json.loads(end["body"])
    assert said["request_id"] == "mine"
    assert (start["status"] == 504) or int(dict(start["headers"])[b"retry-after"]) > 0
    return start["status"], said["error_type"]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE_S", 0.0)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_request_whose_replica_is_lost_is_answered_by_another(loss):
    assert ask(Handle([loss], [START, loss], [START, END])) == [START, END]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_that_stays_is_a_503_of_the_service(loss):
    handle = Handle(*[[loss]] * TRIES)
    assert told(ask(handle)) == (503, "engine_lost")
    assert handle.answers == []


@pytest.mark.parametrize(("refusal", "status", "code"), REFUSALS, ids=repr)
def test_what_the_proxy_refuses_is_said_as_the_service_says_it(refusal, status, code):
    assert told(ask(Handle(*[[refusal]] * TRIES))) == (status, code)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_an_answer_of_which_a_part_has_left_ends_there(loss):
    handle = Handle([START, PART, loss], [START, END])
    assert ask(handle) == [START, PART]  # so that the server closes the connection
    assert len(handle.answers) == 1


def test_an_order_is_sent_once_and_its_loss_is_told():
    handle = Handle([LOSSES[0]], [START, END])
    sent = ask(handle, "/admin/reload")
    assert told(sent) == (503, "engine_lost")
    assert "not known" in json.loads(sent[1]["body"])["error"]
    assert len(handle.answers) == 1


def test_nothing_is_sent_again_for_a_client_that_has_left():
    handle, left = Handle([WAIT], [START, END]), iter([REQUEST])

    async def receive():
        return next(left, {"type": "http.disconnect"})

    assert ask(handle, receive=receive) == []
    assert len(handle.answers) == 1
