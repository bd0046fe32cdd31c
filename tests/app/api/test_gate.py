"""A request is refused by its head where it is like one that was refused a moment ago; its body is read over."""

from __future__ import annotations

import asyncio
import json

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import get_contextvars
from uvicorn.server import ServerState

from app.api import gate, pace
from app.api.application import Application
from app.api.connection import Connection
from app.api.connections import Connections, Limits
from app.api.key_file import new_key, render_entry
from app.api.server import server_config
from app.errors import DeadlineUnmeetableError, InvalidRequestError, QueueFullError
from app.service import Service
from app.serving import room
from app.settings import Settings
from app.tracing.spans import Tracing
from tests.app.backends import ToyBackend

FULL = QueueFullError("the queue is full; try again later", retry_after_s=4.5)
UNMEETABLE = DeadlineUnmeetableError("the answer would take about 3 s")


def request(path="/classify", body=None, version="1.1", **headers):
    content = json.dumps({"inputs": "a text of some characters"}).encode() if body is None else body
    lines = [f"POST {path} HTTP/{version}", "Host: test", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}"] * (b"chunked" not in str(headers).encode())
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + content


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent, self.is_closed, self.is_paused = b"", False, False

    def write(self, data):
        self.sent += data

    def writelines(self, lines):
        self.sent += b"".join(lines)

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    def can_write_eof(self):
        return False

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        self.is_paused = True

    def resume_reading(self):
        self.is_paused = False


class Client:
    """One connection to an application whose model always answers with an error, or answers."""

    def __init__(self, connections, app):
        config = server_config(app.service.settings, app)
        config.load()
        state = ServerState()
        self.connection = Connection(config, state, {}, connections, 0.0)
        self.transport = Transport()
        self.connection.connection_made(self.transport)

    async def send(self, *pieces):
        """Send bytes and return all that comes back until nothing does."""
        self.transport.sent = b""
        for piece in pieces:
            self.connection.data_received(piece)
            await asyncio.sleep(0)
        for _ in range(30):
            await asyncio.sleep(0)
        return self.transport.sent


def play(scenario, error=FULL, settings=None, tracing=None):
    """Run `scenario(backend, new_client)` where the only model raises `error`."""

    async def run():
        backend = ToyBackend(error=error)
        service = Service(settings or Settings(), backend)
        app = Application(service, tracing=tracing)
        await service.start()
        connections = Connections(Limits.of(service.settings), service.metrics, asyncio.get_running_loop(), app.gate)
        try:
            await scenario(backend, lambda: Client(connections, app))
        finally:
            await service.stop()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def long_memory(monkeypatch):
    monkeypatch.setattr(room, "MOMENT_S", 600.0)
    monkeypatch.setattr(room, "MOMENT_SHARE", 600.0)


def parts_of(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize("error", [FULL, UNMEETABLE], ids=lambda error: error.code)
def test_the_second_of_two_alike_is_refused_by_its_head_as_the_first_was(error):
    async def scenario(backend, new_client):
        client = new_client()
        first = parts_of(await client.send(request(x_request_id="one")))
        second = parts_of(await client.send(request(x_request_id="one")))
        assert len(backend.model.asked) == 1
        assert first == second
        assert first[0] == error.status
        assert json.loads(second[2])["request_id"] == "one"
        assert backend.value("requests_total", task="classify", model="toy", code=str(error.status)) == 2
        assert backend.value("rejected_total", reason=error.code) == 2
        assert backend.value("request_duration_seconds_count", task="classify", model="toy") == 2
        assert not client.transport.is_closed

    play(scenario, error)


def test_the_line_of_a_refusal_by_the_head_names_the_trace_that_its_client_is_told(monkeypatch):
    said = []
    monkeypatch.setattr(gate, "log_refusal", lambda *_: said.append(get_contextvars()))

    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request())
        _, headers, _ = parts_of(await client.send(request()))
        assert said == [{"trace_id": headers["traceresponse"].split("-")[1]}]

    play(scenario, tracing=Tracing(SimpleSpanProcessor(InMemorySpanExporter())))


@pytest.mark.parametrize(
    "other",
    [
        request(X_Priority="5"),
        request(body=b'{"inputs":"a"}'),  # much shorter
        request(path="/models/toy"),
        request(X_Priority="high"),  # what is wrong with it is said
        request(X_Request_Timeout_Ms="none"),
        request(Transfer_Encoding="chunked", body=b"e\r\n" + b'{"inputs":"a"}' + b"\r\n0\r\n\r\n"),
        b"GET /classify HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
    ids=["priority", "length", "path", "bad-priority", "bad-timeout", "chunked", "method"],
)
def test_what_is_not_like_it_is_looked_at(other):
    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request())
        before = backend.value("rejected_total", reason=FULL.code)
        status, _, body = parts_of(await client.send(other))
        is_refused = status == 429
        assert is_refused == (len(backend.model.asked) == 2)
        assert backend.value("rejected_total", reason=FULL.code) == before + is_refused
        assert json.loads(body)["error_type"] in ("queue_full", "invalid_request", "method_not_allowed")

    play(scenario)


def test_a_body_in_pieces_is_read_over_and_the_connection_goes_on():
    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request())
        whole = request(body=b'{"inputs":"' + b"a" * 5000 + b'"}')
        status, headers, _ = parts_of(await client.send(whole[:100], whole[100:900], whole[900:]))
        assert status == 429
        assert "connection" not in headers
        client.connection.gate.forget()
        backend.model.error = None
        status, _, body = parts_of(await client.send(request()))
        assert (status, body) == (200, b"toy")

    play(scenario)


def test_two_at_once_are_answered_in_order():
    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request())
        answers = await client.send(request(x_request_id="one") + request(x_request_id="two"))
        assert answers.count(b"HTTP/1.1 429") == 2
        assert answers.index(b"x-request-id: one") < answers.index(b"x-request-id: two")

    play(scenario)


def test_after_an_answer_there_is_room_again():
    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request())
        backend.model.error = None
        status, _, _ = parts_of(await client.send(request(path="/models/toy")))
        assert status == 200
        assert parts_of(await client.send(request()))[0] == 200

    play(scenario)


def test_other_errors_are_not_remembered():
    async def scenario(backend, new_client):
        client = new_client()
        for _ in range(2):
            assert parts_of(await client.send(request()))[0] == 422
        assert len(backend.model.asked) == 2

    play(scenario, InvalidRequestError("no"))


def test_a_last_request_ends_its_connection():
    async def scenario(backend, new_client):
        await new_client().send(request())
        for last in (request(Connection="close"), request(version="1.0")):
            client = new_client()
            status, headers, _ = parts_of(await client.send(last))
            assert (status, headers["connection"]) == (429, "close")
            assert client.transport.is_closed
        assert len(backend.model.asked) == 1

    play(scenario)


def test_without_a_key_nothing_is_told():
    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request(Authorization="Bearer secret"))
        assert parts_of(await client.send(request()))[0] == 401
        assert parts_of(await client.send(request(Authorization="Bearer secret")))[0] == 429
        assert len(backend.model.asked) == 1

    play(scenario, settings=Settings(api_keys=["secret"]))


def test_a_key_that_is_over_its_rate_is_told_and_counted_once(tmp_path):
    key, file = new_key(), tmp_path / "keys.toml"
    file.write_text(render_entry("slow", key, {"requests_per_s": 0.001}))

    async def scenario(backend, new_client):
        client, keyed = new_client(), request(Authorization=f"Bearer {key}")
        codes = [json.loads(parts_of(await client.send(keyed))[2])["error_type"] for _ in range(2)]
        assert codes == ["queue_full", "rate_limited"]
        assert backend.value("key_requests_total", key="slow") == 2
        assert backend.value("key_limited_total", key="slow") == backend.value("rejected_total", reason=codes[1]) == 1

    play(scenario, settings=Settings(api_keys_file=file))


def test_a_client_that_leaves_while_its_refusal_waits_gets_nothing(monkeypatch):
    monkeypatch.setattr(pace, "LEAST_PER_S", 0.0)
    monkeypatch.setattr(pace, "BURST", 1.0)

    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request())
        assert b"429" in await client.send(request())
        assert await client.send(request()) == b""
        assert client.connection.is_held
        client.transport.close()
        client.connection.pace.send_all()
        assert client.transport.sent == b""

    play(scenario)


def test_a_client_whose_refusal_waited_long_still_asks_again_at_once(monkeypatch):
    monkeypatch.setattr(pace, "LEAST_PER_S", 0.0)
    monkeypatch.setattr(pace, "BURST", 1.0)

    async def scenario(backend, new_client):
        client = new_client()
        await client.send(request())
        await client.send(request())
        assert await client.send(request()) == b""
        assert client.transport.is_paused  # nothing more is read of it until then
        client.connection._refused_at -= 2 * pace.AGAIN_S  # what was sent before is long ago
        client.connection.pace.send_all()
        assert b"429" in client.transport.sent
        assert not client.transport.is_paused
        assert await client.send(request()) == b""
        assert client.connection.is_held

    play(scenario)
