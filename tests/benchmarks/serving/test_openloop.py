"""The load client: arrivals wait for no answer, latency counts from when a request was due, answers are checked."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from benchmarks.serving.client import Answered, Question, Reply
from benchmarks.serving.expected import WrongAnswerError
from benchmarks.serving.openloop import Arrival, closed_loop, drive, every, open_loop, poisson, texts_per_s
from benchmarks.serving.servers import Running

TIMEOUT_S = 30.0


def same_as(text: str) -> Callable[[Any], None]:
    def check(answer: Any) -> None:
        if answer != text:
            raise WrongAnswerError(f"{answer} is not {text}")

    return check


def questions(*texts: str) -> list[Question]:
    return [Question.of("/classify", text, same_as(text)) for text in texts]


class Echo(BaseHTTPRequestHandler):
    """Answers the text that it is asked, in two pieces."""

    protocol_version = "HTTP/1.1"
    status = 200
    closes = False

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
        self.before_answer()
        body = json.dumps(text).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Server-Timing", "queue;dur=1.25, forward;dur=20.50")
        self.end_headers()
        self.wfile.flush()
        self.wfile.write(body[:1])
        self.wfile.flush()
        self.wfile.write(body[1:])
        self.close_connection = self.closes

    def before_answer(self) -> None:
        pass

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(handler: type[Echo]) -> Iterator[Running]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Running(f"http://127.0.0.1:{server.server_address[1]}/classify", os.getpid())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_closed_loop_asks_every_text_and_reads_answers_in_pieces():
    with serving(Echo) as server:
        (answered,) = drive(server, closed_loop(questions("a", "b"), connections=2, seconds=0.05)).streams
    assert {json.loads(one.reply.body) for one in answered} == {"a", "b"}
    assert answered[0].reply.timing_ms("forward") == 20.5
    assert texts_per_s(answered) > 0


def test_an_open_loop_does_not_wait_for_answers():
    together = threading.Barrier(4)

    class Holding(Echo):
        """Answers nobody before four have asked."""

        def before_answer(self) -> None:
            together.wait(TIMEOUT_S)

    with serving(Holding) as server:
        (answered,) = drive(server, open_loop([Arrival(0.0, one) for one in questions("a", "b", "c", "d")])).streams
    assert len(answered) == 4


def test_a_connection_that_the_server_closes_is_opened_again():
    class Closing(Echo):
        closes = True

    with serving(Closing) as server:
        (answered,) = drive(server, open_loop(every(questions("a"), gap_s=0.01, seconds=0.06))).streams
    assert len(answered) == 5


def test_a_wrong_answer_ends_the_run():
    with serving(Echo) as server, pytest.raises(WrongAnswerError, match="a is not b"):
        drive(server, open_loop([Arrival(0.0, Question.of("/", "a", same_as("b")))]))


def test_an_error_ends_the_run():
    class Failing(Echo):
        status = 500

    with serving(Failing) as server, pytest.raises(WrongAnswerError, match="status 500"):
        drive(server, open_loop([Arrival(0.0, questions("a")[0])]))


@pytest.mark.parametrize(("due", "sent", "latency_ms"), [(1.0, 3.0, 3000), (1.0, 0.999, 3001)], ids=["late", "early"])
def test_latency_counts_from_when_a_request_was_due(due, sent, latency_ms):
    one = Answered(questions("a")[0], due, sent, done=4.0, reply=Reply(b"", b""))
    assert one.latency_ms == pytest.approx(latency_ms)


def test_poisson_arrivals_are_the_same_for_a_seed():
    asked = questions("a", "b")
    arrivals = poisson(asked, per_s=100, seconds=20, seed=1)
    dues = [arrival.due for arrival in arrivals]
    assert arrivals == poisson(asked, per_s=100, seconds=20, seed=1)
    assert arrivals != poisson(asked, per_s=100, seconds=20, seed=2)
    assert dues == sorted(dues)
    assert max(dues) < 20
    assert len(dues) == pytest.approx(2000, rel=0.1)
