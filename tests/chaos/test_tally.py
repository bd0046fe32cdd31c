"""What the chaos run counts as right, refused, lost, wrong and late."""

from __future__ import annotations

import json

import pytest

from tests.chaos.client import Exchange, Question, Reply
from tests.chaos.table import Row, render
from tests.chaos.tally import Tally, Truth

QUESTION = Question.of("/classify", {"inputs": "a"}, deadline_s=1)
ANSWER = b'[[{"label":"a","score":0.75}]]'


def exchange(status=200, body=ANSWER, head=b"x-request-id: r\r\nretry-after: 1", seconds=0.1):
    return Exchange(QUESTION, 0.0, seconds, Reply(status, b"HTTP/1.1 200 OK\r\n" + head, body))


def refusal(status=429, code="queue_full", **fields):
    body = {"error": "later", "error_type": code, "request_id": "r", **fields}
    return exchange(status, json.dumps(body).encode())


@pytest.fixture
def tally():
    truth = Truth()
    truth.learn(QUESTION.path, QUESTION.body, ANSWER)
    return Tally(truth)


@pytest.mark.parametrize(
    ("became", "column"),
    [
        (exchange(), "right"),
        (exchange(body=b'[[{"label":"a","score":0.7500001}]]'), "right"),
        (exchange(body=b'[[{"label":"a","score":0.751}]]'), "wrong"),
        (exchange(body=b'[[{"label":"b","score":0.75}]]'), "wrong"),
        (exchange(body=b'[[{"label":"a","score":0.75},{}]]'), "wrong"),
        (exchange(seconds=1.2), "late"),
        (refusal(), "refused"),
        (refusal(503, "not_ready"), "refused"),
        (refusal(503, "queue_full"), "wrong"),
        (refusal(429, "no_such_code"), "wrong"),
        (refusal(500, "internal_error"), "wrong"),
        (refusal(request_id="another"), "wrong"),
        (refusal(more="fields"), "wrong"),
        (exchange(400, b"Invalid HTTP request received."), "wrong"),
        (Exchange(QUESTION, 0.0, 0.1, cause="closed"), "lost"),
        (Exchange(QUESTION, 0.0, 12.0, cause="silence"), "lost"),
    ],
)
def test_what_becomes_of_a_request_is_counted(tally, became, column):
    tally.count(became)

    assert tally.sent == 1
    assert getattr(tally, column) == 1
    assert tally.is_sound is (column in ("right", "refused", "late"))


def test_a_refusal_without_retry_after_is_wrong(tally):
    became = refusal()
    tally.count(Exchange(QUESTION, 0.0, 0.1, Reply(429, b"HTTP/1.1 429 X\r\nx-request-id: r", became.reply.body)))
    assert tally.wrong == 1


def test_only_what_the_scenario_ends_itself_is_excused(tally):
    with tally.excusing("closed"):
        tally.count(Exchange(QUESTION, 0.0, 0.1, cause="closed"))
        tally.count(Exchange(QUESTION, 0.0, 12.0, cause="silence"))
    tally.count(Exchange(QUESTION, 0.0, 0.1, cause="closed"))
    assert (tally.cut, tally.lost) == (1, 2)


def test_the_table_says_what_did_not_hold(tally):
    tally.count(exchange())
    tally.claim(False, "memory grew by 500 MB")
    shown = render([Row("family.Name", "a fault", "one process", tally)])
    assert "| a fault | one process | 1 | 1 | 0 | 0 | 0 | 0 | 0 | - | - |" in shown
    assert "**family.Name (one process): memory grew by 500 MB**" in shown
